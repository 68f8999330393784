#include "engine_torch/models/densenet.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>

#include <array>
#include <string>
#include <vector>

#include "engine_torch/models/layers.h"

namespace trainyard {
namespace {

namespace nn = torch::nn;

constexpr int64_t kGrowth = 32;  // channels that a layer adds
constexpr int64_t kBottleneck = 4 * kGrowth;
constexpr int64_t kFirst = 64;
constexpr std::array<int, 4> kLayers121 = {6, 12, 24, 16};

Convolution MakeConvolution(int64_t in, int64_t out, int64_t kernel) {
  return Convolution(nn::Conv2dOptions(in, out, kernel).padding(kernel / 2).bias(false));
}

class DenseLayer : public nn::Module {
 public:
  explicit DenseLayer(int64_t in) {
    norm1_ = register_module("norm1", BatchNorm2d(in));
    conv1_ = register_module("conv1", MakeConvolution(in, kBottleneck, 1));
    norm2_ = register_module("norm2", BatchNorm2d(kBottleneck));
    conv2_ = register_module("conv2", MakeConvolution(kBottleneck, kGrowth, 3));
  }

  torch::Tensor forward(const torch::Tensor &input) {
    const torch::Tensor narrowed = conv1_->forward(NormActivate(norm1_.get(), input, Activation::kReLU));
    return conv2_->forward(NormActivate(norm2_.get(), narrowed, Activation::kReLU));
  }

 private:
  BatchNorm2d norm1_ = nullptr, norm2_ = nullptr;
  Convolution conv1_ = nullptr, conv2_ = nullptr;
};

// Each layer sees what came into the block and what all layers before it made.
class DenseBlock : public nn::Module {
 public:
  DenseBlock(int64_t in, int layers) {
    for (int i = 0; i < layers; ++i) {
      layers_.push_back(
          register_module("denselayer" + std::to_string(i + 1), std::make_shared<DenseLayer>(in + i * kGrowth)));
    }
  }

  torch::Tensor forward(const torch::Tensor &input) {
    std::vector<torch::Tensor> made = {input};
    for (const auto &layer : layers_) made.push_back(layer->forward(torch::cat(made, 1)));
    return torch::cat(made, 1);
  }

 private:
  std::vector<std::shared_ptr<DenseLayer>> layers_;
};

class Transition : public nn::Module {
 public:
  explicit Transition(int64_t in) {
    norm_ = register_module("norm", BatchNorm2d(in));
    conv_ = register_module("conv", MakeConvolution(in, in / 2, 1));
  }

  torch::Tensor forward(const torch::Tensor &input) {
    return torch::avg_pool2d(conv_->forward(NormActivate(norm_.get(), input, Activation::kReLU)), 2, 2);
  }

 private:
  BatchNorm2d norm_ = nullptr;
  Convolution conv_ = nullptr;
};

class DenseNet : public ImageClassifier {
 public:
  DenseNet(const char *name, const std::array<int, 4> &layers, int64_t num_classes)
      : ImageClassifier(name, "classifier", num_classes) {
    Chain features;
    features->push_back("conv0", nn::Conv2d(nn::Conv2dOptions(3, kFirst, 7).stride(2).padding(3).bias(false)));
    features->push_back("norm0", BatchNorm2d(kFirst));
    features->push_back("relu0", ActivationLayer(Activation::kReLU));
    features->push_back("pool0", nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(2).padding(1)));
    width_ = kFirst;
    for (size_t i = 0; i < layers.size(); ++i) {
      const std::string number = std::to_string(i + 1);
      features->push_back("denseblock" + number, std::make_shared<DenseBlock>(width_, layers[i]));
      width_ += layers[i] * kGrowth;
      if (i + 1 == layers.size()) break;
      features->push_back("transition" + number, std::make_shared<Transition>(width_));
      width_ /= 2;
    }
    features->push_back("norm5", BatchNorm2d(width_));
    features_ = register_module("features", features);
    classifier_ = register_module("classifier", nn::Linear(width_, num_classes));
    for (const auto &module : modules(/*include_self=*/false)) {
      if (auto *convolution = module->as<nn::Conv2d>()) nn::init::kaiming_normal_(convolution->weight);
    }
    nn::init::zeros_(classifier_->bias);
  }

  torch::Tensor features(const torch::Tensor &images) override {
    return torch::adaptive_avg_pool2d(features_->forward(images).relu_(), {1, 1}).flatten(1);
  }

  torch::Tensor head(const torch::Tensor &features) override { return classifier_->forward(features); }

 private:
  void MakeHead(int64_t num_classes) override {
    classifier_ = replace_module("classifier", nn::Linear(width_, num_classes));
  }

  Chain features_ = nullptr;
  nn::Linear classifier_ = nullptr;
  int64_t width_ = 0;
};

}  // namespace

std::shared_ptr<ImageClassifier> MakeDenseNet121(int64_t num_classes) {
  return std::make_shared<DenseNet>("densenet121", kLayers121, num_classes);
}

}  // namespace trainyard
