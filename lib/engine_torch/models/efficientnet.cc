#include "engine_torch/models/efficientnet.h"

#include <span>

#include "engine_torch/models/pooled_classifier.h"

namespace trainyard {
namespace {

namespace nn = torch::nn;

struct Stage {
  int64_t expansion, kernel, stride, in, out, blocks;
};
constexpr Stage kB0[] = {{1, 3, 1, 32, 16, 1},  {6, 3, 2, 16, 24, 2},   {6, 5, 2, 24, 40, 2},  {6, 3, 2, 40, 80, 3},
                         {6, 5, 1, 80, 112, 3}, {6, 5, 2, 112, 192, 4}, {6, 3, 1, 192, 320, 1}};
constexpr double kDropoutB0 = 0.2;
constexpr double kStochasticDepth = 0.2;  // what the blocks' probabilities rise to, from 0

// MobileNet V2's inverted residual with squeeze and excitation.
class Block : public nn::Module {
 public:
  Block(const Stage &stage, int64_t in, int64_t stride, double drop) : residual_(stride == 1 && in == stage.out) {
    const int64_t width = in * stage.expansion;
    Chain layers;
    if (stage.expansion != 1) layers->push_back(ConvolutionNormActivation({in, width, 1}, Activation::kSiLU));
    layers->push_back(ConvolutionNormActivation({width, width, stage.kernel, stride, width}, Activation::kSiLU));
    layers->push_back(
        std::make_shared<SqueezeExcitation>(width, in / 4, Activation::kSiLU, SqueezeExcitation::Gate::kSigmoid));
    layers->push_back(ConvolutionNormActivation({width, stage.out, 1}, Activation::kNone));
    block_ = register_module("block", layers);
    stochastic_depth_ = register_module("stochastic_depth", std::make_shared<StochasticDepth>(drop));
  }

  torch::Tensor forward(const torch::Tensor &input) {
    const torch::Tensor output = block_->forward(input);
    return residual_ ? stochastic_depth_->forward(output) + input : output;
  }

 private:
  Chain block_ = nullptr;
  std::shared_ptr<StochasticDepth> stochastic_depth_;
  bool residual_;
};

std::shared_ptr<ImageClassifier> MakeEfficientNet(const char *name, std::span<const Stage> stages, double dropout,
                                                  int64_t num_classes) {
  int64_t all_blocks = 0;
  for (const Stage &stage : stages) all_blocks += stage.blocks;
  int64_t before = 0;  // blocks
  Chain features;
  features->push_back(ConvolutionNormActivation({3, stages.front().in, 3, 2}, Activation::kSiLU));
  for (const Stage &stage : stages) {
    Chain blocks;
    for (int64_t i = 0; i < stage.blocks; ++i) {
      const double drop = kStochasticDepth * static_cast<double>(before++) / static_cast<double>(all_blocks);
      const bool first = i == 0;
      blocks->push_back(std::make_shared<Block>(stage, first ? stage.in : stage.out, first ? stage.stride : 1, drop));
    }
    features->push_back(blocks);
  }
  const int64_t last = stages.back().out;
  features->push_back(ConvolutionNormActivation({last, 4 * last, 1}, Activation::kSiLU));
  Chain classifier;
  classifier->push_back(Dropout(dropout));
  classifier->push_back(nn::Linear(4 * last, num_classes));
  auto model = std::make_shared<PooledClassifier>(name, features, classifier);
  Initialise(*model, LinearStart::kUniform);
  return model;
}

}  // namespace

std::shared_ptr<ImageClassifier> MakeEfficientNetB0(int64_t num_classes) {
  return MakeEfficientNet("efficientnet_b0", kB0, kDropoutB0, num_classes);
}

}  // namespace trainyard
