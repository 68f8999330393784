// Convolutions of 3 x 3 with stride 1 on the CPU by minimal filtering, F(2x2, 3x3): 2.25 times fewer multiplications
// than a direct convolution's, for 16 matrix products instead of one. Source: Lavin and Gray, "Fast Algorithms for
// Convolutional Neural Networks", arXiv:1509.09308, section 4.1. The sums are taken in another order than directly:
// results differ by a few units in the last place of the largest summand. Thread rule: any thread.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace trainyard {

// Whether this processor and this LibTorch can (AVX-512).
bool IsWinogradAvailable();

// Whether it can be used and is worth it: float32 on the CPU in channels-last memory, channels in sixteens, enough
// images to pay for the transformed weights. input: [n, in, h, w]; weight: [out, in, 3, 3].
bool IsWinogradWorthwhile(const at::Tensor &input, const at::Tensor &weight);

// A convolution with stride 1, padding 1, and gradients of its own. Only where it is worthwhile. bias: [out] or
// undefined. Returns [n, out, h, w] in channels-last memory.
at::Tensor WinogradConvolution(const at::Tensor &input, const at::Tensor &weight, const at::Tensor &bias);

}  // namespace trainyard
