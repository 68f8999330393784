#include "engine_torch/models/mobilenet.h"

#include <algorithm>
#include <span>

#include "engine_torch/models/pooled_classifier.h"

namespace trainyard {
namespace {

namespace nn = torch::nn;

constexpr double kDropout = 0.2;

// V2's block: widen, filter each channel by itself, narrow without an activation.
class InvertedResidual : public nn::Module {
 public:
  InvertedResidual(int64_t in, int64_t out, int64_t stride, int64_t expansion) : residual_(stride == 1 && in == out) {
    const int64_t width = in * expansion;
    Chain layers;
    if (expansion != 1) layers->push_back(ConvolutionNormActivation({in, width, 1}, Activation::kReLU6));
    layers->push_back(ConvolutionNormActivation({width, width, 3, stride, width}, Activation::kReLU6));
    layers->push_back(nn::Conv2d(nn::Conv2dOptions(width, out, 1).bias(false)));
    layers->push_back(BatchNorm2d(out));
    conv_ = register_module("conv", layers);
  }

  torch::Tensor forward(const torch::Tensor &input) {
    const torch::Tensor output = conv_->forward(input);
    return residual_ ? input + output : output;
  }

 private:
  Chain conv_ = nullptr;
  bool residual_;
};

struct StageV2 {
  int64_t expansion, width, blocks, stride;
};
constexpr StageV2 kStagesV2[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                 {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

constexpr NormOptions kNormV3 = {.eps = 0.001, .momentum = 0.01};

struct BlockV3 {
  int64_t in, kernel, expanded, out;
  bool squeeze;
  Activation activation;
  int64_t stride;
};

// A quarter of the channels as a multiple of 8, but not less than nine tenths of that quarter.
int64_t SqueezedWidth(int64_t channels) {
  const int64_t quarter = channels / 4;
  const int64_t rounded = std::max<int64_t>(8, (quarter + 4) / 8 * 8);
  return 10 * rounded < 9 * quarter ? rounded + 8 : rounded;
}

// V3's: with squeeze and excitation in some blocks, and a norm of its own.
class InvertedResidualV3 : public nn::Module {
 public:
  explicit InvertedResidualV3(const BlockV3 &block) : residual_(block.stride == 1 && block.in == block.out) {
    Chain layers;
    if (block.expanded != block.in)
      layers->push_back(ConvolutionNormActivation({block.in, block.expanded, 1}, block.activation, kNormV3));
    layers->push_back(ConvolutionNormActivation(
        {block.expanded, block.expanded, block.kernel, block.stride, block.expanded}, block.activation, kNormV3));
    if (block.squeeze) {
      layers->push_back(std::make_shared<SqueezeExcitation>(block.expanded, SqueezedWidth(block.expanded),
                                                            Activation::kReLU, SqueezeExcitation::Gate::kHardSigmoid));
    }
    layers->push_back(ConvolutionNormActivation({block.expanded, block.out, 1}, Activation::kNone, kNormV3));
    block_ = register_module("block", layers);
  }

  torch::Tensor forward(const torch::Tensor &input) {
    const torch::Tensor output = block_->forward(input);
    return residual_ ? output + input : output;
  }

 private:
  Chain block_ = nullptr;
  bool residual_;
};

constexpr Activation kRe = Activation::kReLU, kHs = Activation::kHardswish;

constexpr BlockV3 kSmall[] = {
    {16, 3, 16, 16, true, kRe, 2},  {16, 3, 72, 24, false, kRe, 2}, {24, 3, 88, 24, false, kRe, 1},
    {24, 5, 96, 40, true, kHs, 2},  {40, 5, 240, 40, true, kHs, 1}, {40, 5, 240, 40, true, kHs, 1},
    {40, 5, 120, 48, true, kHs, 1}, {48, 5, 144, 48, true, kHs, 1}, {48, 5, 288, 96, true, kHs, 2},
    {96, 5, 576, 96, true, kHs, 1}, {96, 5, 576, 96, true, kHs, 1}};

constexpr BlockV3 kLarge[] = {
    {16, 3, 16, 16, false, kRe, 1},   {16, 3, 64, 24, false, kRe, 2},   {24, 3, 72, 24, false, kRe, 1},
    {24, 5, 72, 40, true, kRe, 2},    {40, 5, 120, 40, true, kRe, 1},   {40, 5, 120, 40, true, kRe, 1},
    {40, 3, 240, 80, false, kHs, 2},  {80, 3, 200, 80, false, kHs, 1},  {80, 3, 184, 80, false, kHs, 1},
    {80, 3, 184, 80, false, kHs, 1},  {80, 3, 480, 112, true, kHs, 1},  {112, 3, 672, 112, true, kHs, 1},
    {112, 5, 672, 160, true, kHs, 2}, {160, 5, 960, 160, true, kHs, 1}, {160, 5, 960, 160, true, kHs, 1}};

std::shared_ptr<ImageClassifier> MakeMobileNetV3(const char *name, std::span<const BlockV3> blocks, int64_t hidden,
                                                 int64_t num_classes) {
  Chain features;
  features->push_back(ConvolutionNormActivation({3, blocks.front().in, 3, 2}, Activation::kHardswish, kNormV3));
  for (const BlockV3 &block : blocks) features->push_back(std::make_shared<InvertedResidualV3>(block));
  const int64_t in = blocks.back().out;
  features->push_back(ConvolutionNormActivation({in, 6 * in, 1}, Activation::kHardswish, kNormV3));
  Chain classifier;
  classifier->push_back(nn::Linear(6 * in, hidden));
  classifier->push_back(ActivationLayer(Activation::kHardswish));
  classifier->push_back(Dropout(kDropout));
  classifier->push_back(nn::Linear(hidden, num_classes));
  auto model = std::make_shared<PooledClassifier>(name, features, classifier);
  Initialise(*model, LinearStart::kNormal);
  return model;
}

}  // namespace

std::shared_ptr<ImageClassifier> MakeMobileNetV2(int64_t num_classes) {
  constexpr int64_t kLast = 1280;
  Chain features;
  features->push_back(ConvolutionNormActivation({3, 32, 3, 2}, Activation::kReLU6));
  int64_t in = 32;
  for (const StageV2 &stage : kStagesV2) {
    for (int64_t i = 0; i < stage.blocks; ++i) {
      const int64_t stride = i == 0 ? stage.stride : 1;
      features->push_back(std::make_shared<InvertedResidual>(in, stage.width, stride, stage.expansion));
      in = stage.width;
    }
  }
  features->push_back(ConvolutionNormActivation({in, kLast, 1}, Activation::kReLU6));
  Chain classifier;
  classifier->push_back(Dropout(kDropout));
  classifier->push_back(nn::Linear(kLast, num_classes));
  auto model = std::make_shared<PooledClassifier>("mobilenet_v2", features, classifier);
  Initialise(*model, LinearStart::kNormal);
  return model;
}

std::shared_ptr<ImageClassifier> MakeMobileNetV3Small(int64_t num_classes) {
  return MakeMobileNetV3("mobilenet_v3_small", kSmall, 1024, num_classes);
}

std::shared_ptr<ImageClassifier> MakeMobileNetV3Large(int64_t num_classes) {
  return MakeMobileNetV3("mobilenet_v3_large", kLarge, 1280, num_classes);
}

}  // namespace trainyard
