#include "engine_torch/models/vit.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/normalization.h>

#include <cmath>

#include "engine_torch/models/layers.h"
#include "util/error.h"

namespace trainyard {
namespace {

namespace nn = torch::nn;

struct Size {
  int64_t patch, layers, heads, width, hidden;

  int64_t tokens() const { return (kVitImageSize / patch) * (kVitImageSize / patch) + 1; }
};
constexpr Size kB16 = {.patch = 16, .layers = 12, .heads = 12, .width = 768, .hidden = 3072};

nn::LayerNorm Norm(int64_t width) {
  return nn::LayerNorm(nn::LayerNormOptions({width}).eps(1e-6));
}

// Python's nn.MultiheadAttention of tokens [N, T, width] to each other. No shape below depends on N.
class SelfAttention : public nn::Module {
 public:
  SelfAttention(int64_t width, int64_t heads) : heads_(heads) {
    in_proj_weight_ = register_parameter("in_proj_weight", torch::empty({3 * width, width}));
    in_proj_bias_ = register_parameter("in_proj_bias", torch::zeros({3 * width}));
    out_proj_ = register_module("out_proj", nn::Linear(width, width));
    // After out_proj: the order of drawing is Python's.
    nn::init::xavier_uniform_(in_proj_weight_);
    nn::init::zeros_(out_proj_->bias);
  }

  torch::Tensor forward(const torch::Tensor &tokens) {
    const std::vector<torch::Tensor> parts = torch::linear(tokens, in_proj_weight_, in_proj_bias_).chunk(3, 2);
    const torch::Tensor mixed =
        torch::scaled_dot_product_attention(ByHead(parts[0]), ByHead(parts[1]), ByHead(parts[2]));
    return out_proj_->forward(mixed.transpose(1, 2).flatten(2));
  }

 private:
  // [N, T, width] to [N, heads, T, width / heads]
  torch::Tensor ByHead(const torch::Tensor &tokens) const {
    return tokens.unflatten(2, {heads_, tokens.size(2) / heads_}).transpose(1, 2);
  }

  torch::Tensor in_proj_weight_, in_proj_bias_;
  nn::Linear out_proj_ = nullptr;
  int64_t heads_;
};

class EncoderLayer : public nn::Module {
 public:
  explicit EncoderLayer(const Size &size) {
    ln_1_ = register_module("ln_1", Norm(size.width));
    self_attention_ = register_module("self_attention", std::make_shared<SelfAttention>(size.width, size.heads));
    ln_2_ = register_module("ln_2", Norm(size.width));
    const nn::Linear widen(size.width, size.hidden);
    const nn::Linear narrow(size.hidden, size.width);
    for (const nn::Linear &linear : {widen, narrow}) {
      nn::init::xavier_uniform_(linear->weight);
      nn::init::normal_(linear->bias, 0.0, 1e-6);
    }
    // torchvision's dropouts, of which "2" is one, have probability 0: left out.
    Chain mlp;
    mlp->push_back("0", widen);
    mlp->push_back("1", nn::GELU());
    mlp->push_back("3", narrow);
    mlp_ = register_module("mlp", mlp);
  }

  torch::Tensor forward(const torch::Tensor &tokens) {
    const torch::Tensor attended = self_attention_->forward(ln_1_->forward(tokens)) + tokens;
    return attended + mlp_->forward(ln_2_->forward(attended));
  }

 private:
  nn::LayerNorm ln_1_ = nullptr, ln_2_ = nullptr;
  std::shared_ptr<SelfAttention> self_attention_;
  Chain mlp_ = nullptr;
};

class Encoder : public nn::Module {
 public:
  explicit Encoder(const Size &size) {
    pos_embedding_ = register_parameter("pos_embedding", torch::empty({1, size.tokens(), size.width}));
    nn::init::normal_(pos_embedding_, 0.0, 0.02);
    Chain layers;
    for (int64_t i = 0; i < size.layers; ++i)
      layers->push_back("encoder_layer_" + std::to_string(i), std::make_shared<EncoderLayer>(size));
    layers_ = register_module("layers", layers);
    ln_ = register_module("ln", Norm(size.width));
  }

  torch::Tensor forward(const torch::Tensor &tokens) { return ln_->forward(layers_->forward(tokens + pos_embedding_)); }

 private:
  torch::Tensor pos_embedding_;
  Chain layers_ = nullptr;
  nn::LayerNorm ln_ = nullptr;
};

// The image's patches become tokens; what comes out of the encoder in the place of one more, the class token, are the
// features.
class VisionTransformer : public ImageClassifier {
 public:
  VisionTransformer(const char *name, const Size &size, int64_t num_classes)
      : ImageClassifier(name, "heads.head", num_classes), width_(size.width) {
    conv_proj_ =
        register_module("conv_proj", nn::Conv2d(nn::Conv2dOptions(3, size.width, size.patch).stride(size.patch)));
    class_token_ = register_parameter("class_token", torch::zeros({1, 1, size.width}));
    encoder_ = register_module("encoder", std::make_shared<Encoder>(size));
    const nn::Linear head(size.width, num_classes);
    heads_ = register_module("heads", Heads(head));
    const auto inputs = static_cast<double>(3 * size.patch * size.patch);
    TruncatedNormal(conv_proj_->weight, std::sqrt(1.0 / inputs));
    nn::init::zeros_(conv_proj_->bias);
    nn::init::zeros_(head->weight);
    nn::init::zeros_(head->bias);
  }

  torch::Tensor features(const torch::Tensor &images) override {
    if (images.size(2) != kVitImageSize || images.size(3) != kVitImageSize) {
      const std::string side = std::to_string(kVitImageSize);
      throw Error(Status::kUnsupported, name() + " takes images of " + side + " x " + side + " pixels, not " +
                                            std::to_string(images.size(3)) + " x " + std::to_string(images.size(2)));
    }
    const torch::Tensor patches = conv_proj_->forward(images).flatten(2).transpose(1, 2);
    const torch::Tensor class_tokens = class_token_.expand_as(patches.slice(1, 0, 1));
    return encoder_->forward(torch::cat({class_tokens, patches}, 1)).select(1, 0);
  }

  torch::Tensor head(const torch::Tensor &features) override { return heads_->forward(features); }

 private:
  static Chain Heads(const nn::Linear &head) {
    Chain heads;
    heads->push_back("head", head);
    return heads;
  }

  void MakeHead(int64_t num_classes) override {
    heads_ = replace_module("heads", Heads(nn::Linear(width_, num_classes)));
  }

  nn::Conv2d conv_proj_ = nullptr;
  torch::Tensor class_token_;
  std::shared_ptr<Encoder> encoder_;
  Chain heads_ = nullptr;
  int64_t width_;
};

}  // namespace

std::shared_ptr<ImageClassifier> MakeVitB16(int64_t num_classes) {
  return std::make_shared<VisionTransformer>("vit_b_16", kB16, num_classes);
}

}  // namespace trainyard
