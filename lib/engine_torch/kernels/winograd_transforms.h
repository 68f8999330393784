// The transforms of F(2x2, 3x3), for all channels of a tile at once. A tile is 2 x 2 pixels of the output; its window
// are the 4 x 4 pixels of the input that they depend on. In the paper's letters:
//   input    V = B^T d B     [4 x 4] from [4 x 4]
//   weight   U = G g G^T     [4 x 4] from [3 x 3]
//   output   Y = A^T M A     [2 x 2] from [4 x 4]
// and transposed, for gradients:
//   output   Z = A dY A^T    [4 x 4] from [2 x 2]
//   weight   dg = G^T dU G   [3 x 3] from [4 x 4]
// The 16 values of a channel lie `step` floats apart. Everything here is a plain loop over channels, a multiple of
// sixteen, which the compiler makes vectors of.
#pragma once

#include <cstdint>

namespace trainyard::winograd {

inline constexpr int kWindow = 16;  // values of a window

// pixels: of the window, by rows; each `channels` floats. to: 16 times `channels`.
void TransformInput(const float *const *pixels, int64_t channels, float *to, int64_t step);
// products: 16 times `channels`. bias: `channels` or null. pixels: the tile's 4; those outside of the image go to
// `spill`.
void TransformOutput(const float *products, int64_t step, int64_t channels, const float *bias, float *const *pixels);
// pixels: the tile's 4.
void TransformOutputGradient(const float *const *pixels, int64_t channels, float *to, int64_t step);
// taps: of the 3 x 3, by rows; each `channels` floats. to: 16 times `channels`.
void TransformWeight(const float *const *taps, int64_t channels, float *to, int64_t step);
// from: 16 times `channels`. taps: 3 x 3.
void TransformWeightGradient(const float *from, int64_t step, int64_t channels, float *const *taps);

}  // namespace trainyard::winograd
