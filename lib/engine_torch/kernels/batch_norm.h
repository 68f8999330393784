// Batch norm in training, the activation after it, and the addition of a residual between them, as one: memory is
// walked over twice forward and twice backward instead of four and five times, and nothing but the input is kept for
// the backward pass. On the CPU, in channels-last memory. Thread rule: any thread.
#pragma once

#include <ATen/core/Tensor.h>

namespace trainyard {

enum class Activation { kNone, kReLU, kReLU6, kHardswish, kSiLU };

struct BatchNormTerms {
  at::Tensor weight, bias;               // [channels]
  at::Tensor running_mean, running_var;  // [channels]; moved by `momentum` towards the batch's
  double momentum = 0.1;
  double eps = 1e-5;
};

// float32 images [n, channels, h, w] on the CPU in channels-last memory, more than one value per channel, an activation
// of the first four; `residual`, if defined, like the input and with no activation but kReLU.
bool FitsBatchNorm(const at::Tensor &input, const BatchNormTerms &terms, Activation activation,
                   const at::Tensor &residual);

// activation(norm(input) + residual), with gradients for input, weight, bias and residual. Only where it fits.
at::Tensor BatchNormActivate(const at::Tensor &input, const BatchNormTerms &terms, Activation activation,
                             const at::Tensor &residual);

}  // namespace trainyard
