#include "engine_torch/models/convnext.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/normalization.h>

#include <array>
#include <span>

#include "engine_torch/models/pooled_classifier.h"

namespace trainyard {
namespace {

namespace nn = torch::nn;

struct Stage {
  int64_t width, blocks;
};
constexpr Stage kTiny[] = {{96, 3}, {192, 3}, {384, 9}, {768, 3}};
constexpr double kStochasticDepthTiny = 0.1;  // of the last block; the first has none
constexpr double kLayerScale = 1e-6;          // how much of a block there is at the start
constexpr std::array<int64_t, 4> kToChannelsLast = {0, 2, 3, 1};
constexpr std::array<int64_t, 4> kToChannelsFirst = {0, 3, 1, 2};

nn::LayerNormOptions NormOver(int64_t channels) {
  return nn::LayerNormOptions({channels}).eps(1e-6);
}

class Permute : public nn::Module {
 public:
  explicit Permute(const std::array<int64_t, 4> &order) : order_(order) {}
  torch::Tensor forward(const torch::Tensor &input) { return input.permute(order_); }

 private:
  std::array<int64_t, 4> order_;
};

// A layer norm over the channels of images.
class ChannelNorm : public nn::LayerNormImpl {
 public:
  explicit ChannelNorm(int64_t channels) : LayerNormImpl(NormOver(channels)) {}
  torch::Tensor forward(const torch::Tensor &images) {
    return LayerNormImpl::forward(images.permute(kToChannelsLast)).permute(kToChannelsFirst);
  }
};

class Block : public nn::Module {
 public:
  Block(int64_t width, double drop) {
    Chain layers;
    layers->push_back(nn::Conv2d(nn::Conv2dOptions(width, width, 7).padding(3).groups(width)));
    layers->push_back(Permute(kToChannelsLast));
    layers->push_back(nn::LayerNorm(NormOver(width)));
    layers->push_back(nn::Linear(width, 4 * width));
    layers->push_back(nn::GELU());
    layers->push_back(nn::Linear(4 * width, width));
    layers->push_back(Permute(kToChannelsFirst));
    block_ = register_module("block", layers);
    layer_scale_ = register_parameter("layer_scale", torch::full({width, 1, 1}, kLayerScale));
    stochastic_depth_ = register_module("stochastic_depth", std::make_shared<StochasticDepth>(drop));
  }

  torch::Tensor forward(const torch::Tensor &input) {
    return stochastic_depth_->forward(layer_scale_ * block_->forward(input)) + input;
  }

 private:
  Chain block_ = nullptr;
  torch::Tensor layer_scale_;
  std::shared_ptr<StochasticDepth> stochastic_depth_;
};

// Cuts the image (or what a stage made of it) into squares of `side` pixels that become one each.
nn::Conv2d Patches(int64_t in, int64_t out, int64_t side) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, side).stride(side));
}

Chain Features(std::span<const Stage> stages, double stochastic_depth) {
  int64_t all_blocks = 0;
  for (const Stage &stage : stages) all_blocks += stage.blocks;
  Chain stem;
  stem->push_back(Patches(3, stages.front().width, 4));
  stem->push_back(std::make_shared<ChannelNorm>(stages.front().width));
  Chain features;
  features->push_back(stem);
  int64_t before = 0;  // blocks
  for (size_t i = 0; i < stages.size(); ++i) {
    const int64_t width = stages[i].width;
    Chain blocks;
    for (int64_t j = 0; j < stages[i].blocks; ++j) {
      const double drop = stochastic_depth * static_cast<double>(before++) / static_cast<double>(all_blocks - 1);
      blocks->push_back(std::make_shared<Block>(width, drop));
    }
    features->push_back(blocks);
    if (i + 1 == stages.size()) break;
    Chain narrowing;
    narrowing->push_back(std::make_shared<ChannelNorm>(width));
    narrowing->push_back(Patches(width, stages[i + 1].width, 2));
    features->push_back(narrowing);
  }
  return features;
}

void InitialiseConvNext(const nn::Module &model) {
  constexpr double kStd = 0.02;
  for (const auto &module : model.modules(/*include_self=*/false)) {
    if (auto *convolution = module->as<nn::Conv2d>()) {
      TruncatedNormal(convolution->weight, kStd);
      nn::init::zeros_(convolution->bias);
    } else if (auto *linear = module->as<nn::Linear>()) {
      TruncatedNormal(linear->weight, kStd);
      nn::init::zeros_(linear->bias);
    }
  }
}

}  // namespace

std::shared_ptr<ImageClassifier> MakeConvNextTiny(int64_t num_classes) {
  const Chain features = Features(kTiny, kStochasticDepthTiny);
  const int64_t last = std::rbegin(kTiny)->width;
  Chain classifier;
  classifier->push_back(nn::LayerNorm(NormOver(last)));
  classifier->push_back(nn::Flatten());  // has no work left here, but a place
  classifier->push_back(nn::Linear(last, num_classes));
  auto model = std::make_shared<PooledClassifier>("convnext_tiny", features, classifier);
  InitialiseConvNext(*model);
  return model;
}

}  // namespace trainyard
