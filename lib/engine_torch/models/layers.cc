#include "engine_torch/models/layers.h"

#include <torch/nn/init.h>
#include <torch/utils.h>

#include <cmath>

#include "engine_torch/kernels/dropout.h"
#include "engine_torch/kernels/fast_kernels.h"
#include "engine_torch/kernels/linear.h"
#include "engine_torch/kernels/winograd.h"

namespace trainyard {

namespace nn = torch::nn;

torch::Tensor Activate(Activation activation, torch::Tensor input) {
  switch (activation) {
    case Activation::kNone:
      return input;
    case Activation::kReLU:
      return input.relu_();
    case Activation::kReLU6:
      return torch::hardtanh_(input, 0.0, 6.0);
    case Activation::kHardswish:
      return torch::hardswish_(input);
    case Activation::kSiLU:
      return torch::silu_(input);
  }
  return input;
}

torch::Tensor ConvolutionImpl::forward(const torch::Tensor &input) {
  const torch::ExpandingArray<2> one = 1;
  const bool fits = FastKernels::AreAllowed() && torch::GradMode::is_enabled() && options.groups() == 1 &&
                    *options.stride() == *one && *options.dilation() == *one &&
                    std::holds_alternative<torch::ExpandingArray<2>>(options.padding()) &&
                    *std::get<torch::ExpandingArray<2>>(options.padding()) == *one;
  if (fits && IsWinogradWorthwhile(input, weight)) return WinogradConvolution(input, weight, bias);
  return Conv2dImpl::forward(input);
}

torch::Tensor DropoutImpl::forward(const torch::Tensor &input) {
  const double probability = options.p();
  if (is_training() && FastKernels::AreAllowed() && probability > 0 && probability < 1 && FitsDropout(input)) {
    return Dropped(input, probability);
  }
  return torch::nn::DropoutImpl::forward(input);
}

torch::Tensor NormActivate(BatchNorm2dImpl *norm, const torch::Tensor &input, Activation activation,
                           const torch::Tensor &residual) {
  if (FastKernels::AreAllowed() && norm->is_training() && !norm->is_shared() && norm->options.momentum().has_value()) {
    const BatchNormTerms terms = {
        norm->weight,       norm->bias, norm->running_mean, norm->running_var, norm->options.momentum().value(),
        norm->options.eps()};
    if (FitsBatchNorm(input, terms, activation, residual)) {
      norm->num_batches_tracked += 1;
      return BatchNormActivate(input, terms, activation, residual);
    }
  }
  torch::Tensor output = norm->forward(input);
  if (residual.defined()) output += residual;
  return Activate(activation, std::move(output));
}

torch::Tensor LinearActivate(nn::LinearImpl *linear, const torch::Tensor &input, Activation activation) {
  const bool relu = activation == Activation::kReLU;
  if (FastKernels::AreAllowed() && torch::GradMode::is_enabled() && (relu || activation == Activation::kNone) &&
      FitsLinear(input, linear->weight, linear->bias)) {
    return LinearRelu(input, linear->weight, linear->bias, relu);
  }
  return Activate(activation, linear->forward(input));
}

torch::Tensor ChainImpl::forward(const torch::Tensor &input) {
  torch::Tensor output = input;
  for (auto layer = begin(); layer != end(); ++layer) {
    const std::shared_ptr<nn::Module> module = layer->ptr();
    if (auto *norm = module->as<BatchNorm2d>()) {
      const auto next = layer + 1;
      const auto *activation = next == end() ? nullptr : next->ptr()->as<ActivationLayer>();
      output = NormActivate(norm, output, activation == nullptr ? Activation::kNone : activation->activation());
      if (activation != nullptr) layer = next;
    } else {
      output = layer->forward(std::move(output));
    }
  }
  return output;
}

Chain ConvolutionNormActivation(const ConvolutionShape &shape, Activation activation, NormOptions norm) {
  Chain layers;
  layers->push_back(Convolution(nn::Conv2dOptions(shape.in, shape.out, shape.kernel)
                                    .stride(shape.stride)
                                    .padding((shape.kernel - 1) / 2)
                                    .groups(shape.groups)
                                    .bias(false)));
  layers->push_back(BatchNorm2d(nn::BatchNorm2dOptions(shape.out).eps(norm.eps).momentum(norm.momentum)));
  if (activation != Activation::kNone) layers->push_back(ActivationLayer(activation));
  return layers;
}

SqueezeExcitation::SqueezeExcitation(int64_t channels, int64_t squeezed, Activation activation, Gate gate)
    : activation_(activation), gate_(gate) {
  fc1_ = register_module("fc1", nn::Conv2d(nn::Conv2dOptions(channels, squeezed, 1)));
  fc2_ = register_module("fc2", nn::Conv2d(nn::Conv2dOptions(squeezed, channels, 1)));
}

torch::Tensor SqueezeExcitation::forward(const torch::Tensor &input) {
  const torch::Tensor means = torch::adaptive_avg_pool2d(input, {1, 1});
  const torch::Tensor scale = fc2_->forward(Activate(activation_, fc1_->forward(means)));
  return (gate_ == Gate::kSigmoid ? scale.sigmoid() : torch::hardsigmoid(scale)) * input;
}

torch::Tensor StochasticDepth::forward(const torch::Tensor &residual) {
  if (!is_training() || probability_ == 0.0) return residual;
  const double kept = 1.0 - probability_;
  std::vector<int64_t> shape(static_cast<size_t>(residual.dim()), 1);
  shape[0] = residual.size(0);
  return residual * torch::empty(shape, residual.options()).bernoulli_(kept).div_(kept);
}

void Initialise(const nn::Module &model, LinearStart linear) {
  for (const auto &module : model.modules(/*include_self=*/false)) {
    if (auto *convolution = module->as<nn::Conv2d>()) {
      nn::init::kaiming_normal_(convolution->weight, 0, torch::kFanOut, torch::kReLU);
      if (convolution->bias.defined()) nn::init::zeros_(convolution->bias);
    } else if (auto *layer = module->as<nn::Linear>(); layer != nullptr && linear != LinearStart::kDefault) {
      const double range = 1.0 / std::sqrt(static_cast<double>(layer->weight.size(0)));
      if (linear == LinearStart::kNormal) nn::init::normal_(layer->weight, 0.0, 0.01);
      if (linear == LinearStart::kUniform) nn::init::uniform_(layer->weight, -range, range);
      nn::init::zeros_(layer->bias);
    }
  }
}

// By the inverse of the distribution's integral, in Python's very steps: the same seed gives the same weights.
void TruncatedNormal(torch::Tensor tensor, double std) {
  const torch::NoGradGuard no_grad;
  const double end = std::erf(2.0 / std / std::sqrt(2.0));
  tensor.uniform_(-end, end).erfinv_().mul_(std * std::sqrt(2.0)).clamp_(-2.0, 2.0);
}

}  // namespace trainyard
