// torch.nn.functional.linear and ReLU behind it as one, in training: one node for autograd, bias and ReLU in one walk
// forward, ReLU and the bias' gradient in one walk backward. On the CPU. Thread rule: any thread.
#pragma once

#include <ATen/core/Tensor.h>

namespace trainyard {

// float32 on the CPU without gaps: input [n, in], weight [out, in], bias [out].
bool FitsLinear(const at::Tensor &input, const at::Tensor &weight, const at::Tensor &bias);

// input * weight^T + bias, with `relu` 0 where that is below, with gradients for all three. Only where it fits.
at::Tensor LinearRelu(const at::Tensor &input, const at::Tensor &weight, const at::Tensor &bias, bool relu);

}  // namespace trainyard
