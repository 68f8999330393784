// torch.nn.functional.dropout in training, from random numbers that are a function of a seed and the place: nothing is
// kept for the backward pass, and the result does not depend on the number of threads. The seed is drawn from
// LibTorch's generator, so that manual_seed decides; the numbers are others than LibTorch's, which draws them one by
// one. On the CPU. Thread rule: any thread.
#pragma once

#include <ATen/core/Tensor.h>

namespace trainyard {

// float32 on the CPU, in memory without gaps.
bool FitsDropout(const at::Tensor &input);

// Each value with `probability` (0 to less than 1) zero, the others divided by 1 - probability, with gradients. Only
// where it fits.
at::Tensor Dropped(const at::Tensor &input, double probability);

}  // namespace trainyard
