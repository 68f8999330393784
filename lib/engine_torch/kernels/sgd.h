// torch.optim.SGD's change of the weights, bit for bit what LibTorch's fused kernel for CPUs does, which takes tensor
// by tensor and ten times as long; but numbers below 1.2e-38 count as 0 on x86-64: the momenta of units that have died
// would be such ones for ever, and slow. All parameters are one walk, shared by the threads. Thread rule: one thread.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace trainyard {

struct SgdRates {
  double lr = 0;
  double momentum = 0;  // 0: momenta are not looked at
  double weight_decay = 0;
  bool nesterov = false;
};

// On a CPU that multiplies and adds at once, float32, each in memory of its own without gaps.
bool FitsSgd(const std::vector<at::Tensor> &parameters);

// Each of `gradients` and `momenta` (there may be none without momentum) lies in memory as its parameter does.
// dampening is 0.
void SgdStep(const std::vector<at::Tensor> &parameters, const std::vector<at::Tensor> &gradients,
             const std::vector<at::Tensor> &momenta, const SgdRates &rates);

}  // namespace trainyard
