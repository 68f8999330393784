#include "engine_torch/kernels/batch_norm_rows.h"

#include <algorithm>
#include <vector>

#include "engine_torch/kernels/clones.h"

namespace trainyard::batch_norm {
namespace {

// Rows that are summed in float before they go to the totals.
constexpr int64_t kRows = 64;

// Each lets a NaN through, as PyTorch's do: it must get to the loss, where it is noticed.
struct None {
  TY_INLINE static float Value(float z) { return z; }
  TY_INLINE static float Gradient(float, float dy) { return dy; }
};
struct ReLU {
  TY_INLINE static float Value(float z) { return z <= 0.0F ? 0.0F : z; }
  TY_INLINE static float Gradient(float z, float dy) { return z <= 0.0F ? 0.0F : dy; }
};
struct ReLU6 {
  TY_INLINE static float Value(float z) {
    const float below = z >= 6.0F ? 6.0F : z;
    return z <= 0.0F ? 0.0F : below;
  }
  TY_INLINE static float Gradient(float z, float dy) {
    const float above = z <= 0.0F ? 0.0F : dy;
    return z >= 6.0F ? 0.0F : above;
  }
};
struct Hardswish {
  TY_INLINE static float Value(float z) {
    const float gate = z + 3.0F > 0.0F ? (z < 3.0F ? z + 3.0F : 6.0F) : 0.0F;
    return z * gate * (1.0F / 6.0F);
  }
  TY_INLINE static float Gradient(float z, float dy) {
    const float inside = dy * (z * (1.0F / 3.0F) + 0.5F);
    const float above = z <= -3.0F ? 0.0F : inside;
    return z >= 3.0F ? dy : above;
  }
};

// Calls `loop` with the type of the activation.
template <typename Loop>
TY_INLINE void With(Activation activation, const Loop &loop) {
  switch (activation) {
    case Activation::kReLU:
      return loop(ReLU());
    case Activation::kReLU6:
      return loop(ReLU6());
    case Activation::kHardswish:
      return loop(Hardswish());
    case Activation::kNone:
    case Activation::kSiLU:
      return loop(None());
  }
}

// Totals of two values per channel: of a few rows in float, of all in double.
class Sums {
 public:
  Sums(int64_t channels, double *first, double *second)
      : channels_(channels), first_(first), second_(second), partial_(static_cast<size_t>(2 * channels)) {}

  float *first() { return partial_.data(); }
  float *second() { return partial_.data() + channels_; }
  void Flush() {
    for (int64_t c = 0; c < channels_; ++c) {
      first_[c] += static_cast<double>(partial_[static_cast<size_t>(c)]);
      second_[c] += static_cast<double>(partial_[static_cast<size_t>(channels_ + c)]);
    }
    std::fill(partial_.begin(), partial_.end(), 0.0F);
  }

 private:
  const int64_t channels_;
  double *const first_, *const second_;
  std::vector<float> partial_;
};

}  // namespace

TY_CLONES void AddMoments(const float *input, int64_t rows, int64_t channels, const float *shift, double *sums,
                          double *squares) {
  Sums totals(channels, sums, squares);
  float *const sum = totals.first();
  float *const square = totals.second();
  for (int64_t row = 0; row < rows; ++row) {
    const float *const x = input + row * channels;
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; ++c) {
      const float value = x[c] - shift[c];
      sum[c] += value;
      square[c] += value * value;
    }
    if (row % kRows == kRows - 1) totals.Flush();
  }
  totals.Flush();
}

TY_CLONES void Normalise(const float *input, const float *residual, int64_t rows, int64_t channels, const float *scale,
                         const float *offset, Activation activation, float *output) {
  With(
      activation, [=](auto kind) __attribute__((always_inline)) {
        for (int64_t row = 0; row < rows; ++row) {
          const float *const x = input + row * channels;
          const float *const add = residual == nullptr ? nullptr : residual + row * channels;
          float *const y = output + row * channels;
          if (add == nullptr) {
#pragma GCC ivdep
            for (int64_t c = 0; c < channels; ++c) y[c] = kind.Value(x[c] * scale[c] + offset[c]);
          } else {
#pragma GCC ivdep
            for (int64_t c = 0; c < channels; ++c) y[c] = kind.Value(x[c] * scale[c] + offset[c] + add[c]);
          }
        }
      });
}

TY_CLONES void AddGradients(const float *gradient, const float *input, const float *output, int64_t rows,
                            int64_t channels, const Forward &forward, Activation activation, double *sums,
                            double *products, float *before) {
  Sums totals(channels, sums, products);
  float *const sum = totals.first();
  float *const product = totals.second();
  const float *const scale = forward.scale;
  const float *const offset = forward.offset;
  const float *const mean = forward.mean;
  With(
      activation, [&](auto kind) __attribute__((always_inline)) {
        for (int64_t row = 0; row < rows; ++row) {
          const float *const dy = gradient + row * channels;
          const float *const x = input + row * channels;
          if (output == nullptr) {
#pragma GCC ivdep
            for (int64_t c = 0; c < channels; ++c) {
              const float g = kind.Gradient(x[c] * scale[c] + offset[c], dy[c]);
              sum[c] += g;
              product[c] += g * (x[c] - mean[c]);
            }
          } else {
            const float *const y = output + row * channels;
            float *const g_before = before + row * channels;
#pragma GCC ivdep
            for (int64_t c = 0; c < channels; ++c) {
              const float g = y[c] <= 0.0F ? 0.0F : dy[c];
              g_before[c] = g;
              sum[c] += g;
              product[c] += g * (x[c] - mean[c]);
            }
          }
          if (row % kRows == kRows - 1) totals.Flush();
        }
      });
  totals.Flush();
}

TY_CLONES void InputGradient(const float *gradient, const float *input, int64_t rows, int64_t channels,
                             const Forward &forward, const Backward &backward, Activation activation, float *result) {
  const float *const scale = forward.scale;
  const float *const offset = forward.offset;
  const float *const mean = forward.mean;
  const float *const g_mean = backward.g_mean;
  const float *const slope = backward.slope;
  With(
      backward.is_before ? Activation::kNone : activation, [=](auto kind) __attribute__((always_inline)) {
        for (int64_t row = 0; row < rows; ++row) {
          const float *const dy = gradient + row * channels;
          const float *const x = input + row * channels;
          float *const dx = result + row * channels;
#pragma GCC ivdep
          for (int64_t c = 0; c < channels; ++c) {
            const float g = kind.Gradient(x[c] * scale[c] + offset[c], dy[c]);
            dx[c] = scale[c] * (g - g_mean[c] - (x[c] - mean[c]) * slope[c]);
          }
        }
      });
}

}  // namespace trainyard::batch_norm
