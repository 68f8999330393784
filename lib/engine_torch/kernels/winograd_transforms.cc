#include "engine_torch/kernels/winograd_transforms.h"

// Only called where the processor has AVX-512. Clang knows no such attribute for the width; it chooses well by itself.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define TY_AVX512 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,fma,prefer-vector-width=512")))
#else
#define TY_AVX512
#endif

namespace trainyard::winograd {
namespace {

// Each in one dimension: reads and writes values `Step` apart.
template <int Step>
[[gnu::always_inline]] inline void Input(const float *from, float *to) {
  to[0] = from[0] - from[2 * Step];
  to[Step] = from[Step] + from[2 * Step];
  to[2 * Step] = from[2 * Step] - from[Step];
  to[3 * Step] = from[Step] - from[3 * Step];
}

template <int From, int To>
[[gnu::always_inline]] inline void Output(const float *from, float *to) {
  to[0] = from[0] + from[From] + from[2 * From];
  to[To] = from[From] - from[2 * From] - from[3 * From];
}

template <int From, int To>
[[gnu::always_inline]] inline void OutputGradient(const float *from, float *to) {
  to[0] = from[0];
  to[To] = from[0] + from[From];
  to[2 * To] = from[0] - from[From];
  to[3 * To] = -from[From];
}

template <int From, int To>
[[gnu::always_inline]] inline void Weight(const float *from, float *to) {
  const float ends = 0.5F * (from[0] + from[2 * From]);
  const float middle = 0.5F * from[From];
  to[0] = from[0];
  to[To] = ends + middle;
  to[2 * To] = ends - middle;
  to[3 * To] = from[2 * From];
}

template <int From, int To>
[[gnu::always_inline]] inline void WeightGradient(const float *from, float *to) {
  const float sum = 0.5F * (from[From] + from[2 * From]);
  to[0] = from[0] + sum;
  to[To] = 0.5F * (from[From] - from[2 * From]);
  to[2 * To] = sum + from[3 * From];
}

}  // namespace

TY_AVX512 void TransformInput(const float *const *pixels, int64_t channels, float *to, int64_t step) {
  const float *const p0 = pixels[0], *const p1 = pixels[1], *const p2 = pixels[2], *const p3 = pixels[3];
  const float *const p4 = pixels[4], *const p5 = pixels[5], *const p6 = pixels[6], *const p7 = pixels[7];
  const float *const p8 = pixels[8], *const p9 = pixels[9], *const p10 = pixels[10], *const p11 = pixels[11];
  const float *const p12 = pixels[12], *const p13 = pixels[13], *const p14 = pixels[14], *const p15 = pixels[15];
#pragma GCC ivdep
  for (int64_t c = 0; c < channels; ++c) {
    const float d[16] = {p0[c], p1[c], p2[c],  p3[c],  p4[c],  p5[c],  p6[c],  p7[c],
                         p8[c], p9[c], p10[c], p11[c], p12[c], p13[c], p14[c], p15[c]};
    float columns[16];
    float v[16];
    for (int x = 0; x < 4; ++x) Input<4>(d + x, columns + x);
    for (int y = 0; y < 4; ++y) Input<1>(columns + 4 * y, v + 4 * y);
    for (int i = 0; i < kWindow; ++i) to[i * step + c] = v[i];
  }
}

TY_AVX512 void TransformOutput(const float *products, int64_t step, int64_t channels, const float *bias,
                               float *const *pixels) {
  float *const p0 = pixels[0], *const p1 = pixels[1], *const p2 = pixels[2], *const p3 = pixels[3];
#pragma GCC ivdep
  for (int64_t c = 0; c < channels; ++c) {
    float m[16];
    float columns[8];
    float y[4];
    for (int i = 0; i < kWindow; ++i) m[i] = products[i * step + c];
    for (int x = 0; x < 4; ++x) Output<4, 4>(m + x, columns + x);
    for (int i = 0; i < 2; ++i) Output<1, 1>(columns + 4 * i, y + 2 * i);
    const float add = bias == nullptr ? 0.0F : bias[c];
    p0[c] = y[0] + add;
    p1[c] = y[1] + add;
    p2[c] = y[2] + add;
    p3[c] = y[3] + add;
  }
}

TY_AVX512 void TransformOutputGradient(const float *const *pixels, int64_t channels, float *to, int64_t step) {
  const float *const p0 = pixels[0], *const p1 = pixels[1], *const p2 = pixels[2], *const p3 = pixels[3];
#pragma GCC ivdep
  for (int64_t c = 0; c < channels; ++c) {
    const float y[4] = {p0[c], p1[c], p2[c], p3[c]};
    float columns[8];
    float z[16];
    for (int x = 0; x < 2; ++x) OutputGradient<2, 2>(y + x, columns + x);
    for (int i = 0; i < 4; ++i) OutputGradient<1, 1>(columns + 2 * i, z + 4 * i);
    for (int i = 0; i < kWindow; ++i) to[i * step + c] = z[i];
  }
}

TY_AVX512 void TransformWeight(const float *const *taps, int64_t channels, float *to, int64_t step) {
  const float *const t0 = taps[0], *const t1 = taps[1], *const t2 = taps[2], *const t3 = taps[3], *const t4 = taps[4];
  const float *const t5 = taps[5], *const t6 = taps[6], *const t7 = taps[7], *const t8 = taps[8];
#pragma GCC ivdep
  for (int64_t c = 0; c < channels; ++c) {
    const float g[9] = {t0[c], t1[c], t2[c], t3[c], t4[c], t5[c], t6[c], t7[c], t8[c]};
    float columns[12];
    float u[16];
    for (int x = 0; x < 3; ++x) Weight<3, 3>(g + x, columns + x);
    for (int y = 0; y < 4; ++y) Weight<1, 1>(columns + 3 * y, u + 4 * y);
    for (int i = 0; i < kWindow; ++i) to[i * step + c] = u[i];
  }
}

TY_AVX512 void TransformWeightGradient(const float *from, int64_t step, int64_t channels, float *const *taps) {
  float *const t0 = taps[0], *const t1 = taps[1], *const t2 = taps[2], *const t3 = taps[3], *const t4 = taps[4];
  float *const t5 = taps[5], *const t6 = taps[6], *const t7 = taps[7], *const t8 = taps[8];
#pragma GCC ivdep
  for (int64_t c = 0; c < channels; ++c) {
    float u[16];
    float columns[12];
    float g[9];
    for (int i = 0; i < kWindow; ++i) u[i] = from[i * step + c];
    for (int x = 0; x < 4; ++x) WeightGradient<4, 4>(u + x, columns + x);
    for (int y = 0; y < 3; ++y) WeightGradient<1, 1>(columns + 4 * y, g + 3 * y);
    t0[c] = g[0];
    t1[c] = g[1];
    t2[c] = g[2];
    t3[c] = g[3];
    t4[c] = g[4];
    t5[c] = g[5];
    t6[c] = g[6];
    t7[c] = g[7];
    t8[c] = g[8];
  }
}

}  // namespace trainyard::winograd
