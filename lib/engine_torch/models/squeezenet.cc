#include "engine_torch/models/squeezenet.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/pooling.h>

#include <span>

#include "engine_torch/models/layers.h"

namespace trainyard {
namespace {

namespace nn = torch::nn;

class Fire : public nn::Module {
 public:
  Fire(int64_t in, int64_t squeeze, int64_t expand) {
    squeeze_ = register_module("squeeze", nn::Conv2d(nn::Conv2dOptions(in, squeeze, 1)));
    expand1x1_ = register_module("expand1x1", nn::Conv2d(nn::Conv2dOptions(squeeze, expand, 1)));
    expand3x3_ = register_module("expand3x3", Convolution(nn::Conv2dOptions(squeeze, expand, 3).padding(1)));
  }

  torch::Tensor forward(const torch::Tensor &input) {
    const torch::Tensor squeezed = squeeze_->forward(input).relu_();
    return torch::cat({expand1x1_->forward(squeezed).relu_(), expand3x3_->forward(squeezed).relu_()}, 1);
  }

 private:
  nn::Conv2d squeeze_ = nullptr;
  nn::Conv2d expand1x1_ = nullptr;
  Convolution expand3x3_ = nullptr;
};

// A Fire's channels; both 0: pooling.
struct Step {
  int64_t squeeze = 0, expand = 0;
};
constexpr Step kSteps10[] = {{},        {16, 64},  {16, 64},  {32, 128}, {},       {32, 128},
                             {48, 192}, {48, 192}, {64, 256}, {},        {64, 256}};
constexpr Step kSteps11[] = {{}, {16, 64},  {16, 64},  {},        {32, 128}, {32, 128},
                             {}, {48, 192}, {48, 192}, {64, 256}, {64, 256}};

constexpr int64_t kLast = 512;

class SqueezeNet : public ImageClassifier {
 public:
  SqueezeNet(const char *name, const nn::Conv2dOptions &first, std::span<const Step> steps, int64_t num_classes)
      : ImageClassifier(name, "classifier.1", num_classes) {
    // The places in the sequence are part of the parameters' names. Added one by one: the order of function arguments
    // is the compiler's choice, and with it the weights that a seed gives.
    nn::Sequential features;
    features->push_back(nn::Conv2d(first));
    features->push_back(Activation());
    int64_t in = first.out_channels();
    for (const Step &step : steps) {
      if (step.expand == 0) {
        features->push_back(Pooling());
        continue;
      }
      features->push_back(Fire(in, step.squeeze, step.expand));
      in = 2 * step.expand;
    }
    features_ = register_module("features", features);
    nn::Conv2d last(nn::Conv2dOptions(kLast, num_classes, 1));
    classifier_ = register_module("classifier", Classifier(last));
    Initialise(last);
  }

  torch::Tensor features(const torch::Tensor &images) override { return features_->forward(images); }

  torch::Tensor head(const torch::Tensor &features) override { return classifier_->forward(features).flatten(1); }

 private:
  static nn::ReLU Activation() { return nn::ReLU(nn::ReLUOptions(/*inplace=*/true)); }
  static nn::MaxPool2d Pooling() { return nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(2).ceil_mode(true)); }
  static nn::Sequential Classifier(const nn::Conv2d &last) {
    return nn::Sequential(Dropout(0.5), last, Activation(), nn::AdaptiveAvgPool2d(1));
  }

  void Initialise(const nn::Conv2d &last) {
    for (const auto &module : modules(/*include_self=*/false)) {
      auto *convolution = module->as<nn::Conv2d>();
      if (convolution == nullptr) continue;
      if (convolution == last.get()) {
        nn::init::normal_(convolution->weight, 0.0, 0.01);
      } else {
        nn::init::kaiming_uniform_(convolution->weight);
      }
      nn::init::zeros_(convolution->bias);
    }
  }

  void MakeHead(int64_t num_classes) override {
    classifier_ = replace_module("classifier", Classifier(nn::Conv2d(nn::Conv2dOptions(kLast, num_classes, 1))));
  }

  nn::Sequential features_ = nullptr;
  nn::Sequential classifier_ = nullptr;
};

}  // namespace

std::shared_ptr<ImageClassifier> MakeSqueezeNet10(int64_t num_classes) {
  const auto first = nn::Conv2dOptions(3, 96, 7).stride(2);
  return std::make_shared<SqueezeNet>("squeezenet1_0", first, kSteps10, num_classes);
}

std::shared_ptr<ImageClassifier> MakeSqueezeNet11(int64_t num_classes) {
  const auto first = nn::Conv2dOptions(3, 64, 3).stride(2);
  return std::make_shared<SqueezeNet>("squeezenet1_1", first, kSteps11, num_classes);
}

}  // namespace trainyard
