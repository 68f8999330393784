#include "engine_torch/models/resnet.h"

#include <torch/nn/functional/pooling.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <array>

#include "engine_torch/models/layers.h"

namespace trainyard {
namespace {

namespace nn = torch::nn;

Convolution MakeConvolution(int64_t in, int64_t out, int64_t kernel, int64_t stride) {
  return Convolution(nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(false));
}

// One residual block. `kKernels` are its convolutions' sizes; the output has `kExpansion` times the block's width.
// Layers are made and registered in torchvision's order, so that the same seed gives the same weights.
template <size_t kLayers, int64_t kExpansion>
class Block : public nn::Module {
 public:
  static constexpr int64_t kOutput = kExpansion;

  Block(int64_t in, int64_t width, int64_t stride, Chain shortcut) {
    constexpr bool kBottleneck = kLayers == 3;
    for (size_t i = 0; i < kLayers; ++i) {
      const int64_t from = i == 0 ? in : width;
      const int64_t to = i + 1 == kLayers ? width * kExpansion : width;
      const int64_t kernel = kBottleneck && i != 1 ? 1 : 3;
      const bool strided = i == (kBottleneck ? 1 : 0);
      const std::string number = std::to_string(i + 1);
      convolutions_[i] = register_module("conv" + number, MakeConvolution(from, to, kernel, strided ? stride : 1));
      norms_[i] = register_module("bn" + number, BatchNorm2d(to));
    }
    if (!shortcut.is_empty()) shortcut_ = register_module("downsample", shortcut);
  }

  torch::Tensor forward(const torch::Tensor &input) {
    torch::Tensor output = input;
    for (size_t i = 0; i + 1 < kLayers; ++i) {
      output = NormActivate(norms_[i].get(), convolutions_[i]->forward(output), Activation::kReLU);
    }
    return NormActivate(norms_.back().get(), convolutions_.back()->forward(output), Activation::kReLU,
                        shortcut_.is_empty() ? input : shortcut_->forward(input));
  }

 private:
  std::array<Convolution, kLayers> convolutions_ = Empty<Convolution>();
  std::array<BatchNorm2d, kLayers> norms_ = Empty<BatchNorm2d>();
  Chain shortcut_ = nullptr;

  template <typename Layer>
  static std::array<Layer, kLayers> Empty() {
    if constexpr (kLayers == 2) {
      return {nullptr, nullptr};
    } else {
      return {nullptr, nullptr, nullptr};
    }
  }
};

using BasicBlock = Block<2, 1>;
using Bottleneck = Block<3, 4>;

template <typename BlockType>
class ResNet : public ImageClassifier {
 public:
  ResNet(const char *name, const std::array<int, 4> &blocks, int64_t num_classes)
      : ImageClassifier(name, "fc", num_classes) {
    conv1_ = register_module("conv1", nn::Conv2d(nn::Conv2dOptions(3, 64, 7).stride(2).padding(3).bias(false)));
    bn1_ = register_module("bn1", BatchNorm2d(64));
    int64_t in = 64;
    for (size_t i = 0; i < blocks.size(); ++i) {
      const int64_t width = int64_t{64} << i;
      layers_[i] = register_module("layer" + std::to_string(i + 1), MakeLayer(in, width, blocks[i], i == 0 ? 1 : 2));
      in = width * BlockType::kOutput;
    }
    fc_ = register_module("fc", nn::Linear(in, num_classes));
    Initialise(*this, LinearStart::kDefault);
  }

  torch::Tensor features(const torch::Tensor &images) override {
    torch::Tensor x = NormActivate(bn1_.get(), conv1_->forward(images), Activation::kReLU);
    x = torch::max_pool2d(x, 3, 2, 1);
    for (nn::Sequential &layer : layers_) x = layer->forward(x);
    return torch::adaptive_avg_pool2d(x, {1, 1}).flatten(1);
  }

  torch::Tensor head(const torch::Tensor &features) override { return fc_->forward(features); }

 private:
  static nn::Sequential MakeLayer(int64_t in, int64_t width, int blocks, int64_t stride) {
    const int64_t out = width * BlockType::kOutput;
    Chain shortcut = nullptr;
    if (stride != 1 || in != out) shortcut = Chain(MakeConvolution(in, out, 1, stride), BatchNorm2d(out));
    nn::Sequential layer;
    layer->push_back(std::make_shared<BlockType>(in, width, stride, shortcut));
    for (int i = 1; i < blocks; ++i) layer->push_back(std::make_shared<BlockType>(out, width, 1, nullptr));
    return layer;
  }

  void MakeHead(int64_t num_classes) override {
    fc_ = replace_module("fc", nn::Linear(512 * BlockType::kOutput, num_classes));
  }

  nn::Conv2d conv1_ = nullptr;
  BatchNorm2d bn1_ = nullptr;
  std::array<nn::Sequential, 4> layers_ = {nullptr, nullptr, nullptr, nullptr};
  nn::Linear fc_ = nullptr;
};

}  // namespace

std::shared_ptr<ImageClassifier> MakeResNet18(int64_t num_classes) {
  return std::make_shared<ResNet<BasicBlock>>("resnet18", std::array{2, 2, 2, 2}, num_classes);
}

std::shared_ptr<ImageClassifier> MakeResNet34(int64_t num_classes) {
  return std::make_shared<ResNet<BasicBlock>>("resnet34", std::array{3, 4, 6, 3}, num_classes);
}

std::shared_ptr<ImageClassifier> MakeResNet50(int64_t num_classes) {
  return std::make_shared<ResNet<Bottleneck>>("resnet50", std::array{3, 4, 6, 3}, num_classes);
}

std::shared_ptr<ImageClassifier> MakeResNet101(int64_t num_classes) {
  return std::make_shared<ResNet<Bottleneck>>("resnet101", std::array{3, 4, 23, 3}, num_classes);
}

}  // namespace trainyard
