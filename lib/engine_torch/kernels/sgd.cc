#include "engine_torch/kernels/sgd.h"

#include <ATen/Parallel.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <algorithm>

#include "engine_torch/kernels/clones.h"
#include "engine_torch/kernels/tensor_data.h"

// Products and sums are fused here where LibTorch's are, and nowhere else (CMakeLists.txt).
namespace trainyard {
namespace {

// Values that are worth a thread.
constexpr int64_t kGrain = 1 << 14;
// LibTorch's kernel takes so many at once; the last ones of a tensor, which are fewer, come out of another loop, in
// which the compiler fused one product more.
constexpr int64_t kLanes = 8;

struct Rates {
  float lr, momentum, weight_decay;
};

// std::fma stays a call in the clones.
TY_INLINE float Fma(float a, float b, float c) {
  return __builtin_fmaf(a, b, c);
}

template <bool kNesterov, bool kLast>
TY_INLINE void Move(float *parameter, const float *gradient, float *momentum, int64_t count, Rates rates) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const float g = Fma(parameter[i], rates.weight_decay, gradient[i]);
    const float m = kLast ? Fma(momentum[i], rates.momentum, g) : momentum[i] * rates.momentum + g;
    momentum[i] = m;
    parameter[i] = Fma(kNesterov ? Fma(m, rates.momentum, g) : m, -rates.lr, parameter[i]);
  }
}

// `last`: of the tensor, fewer than kLanes.
TY_CLONES void MoveWithMomentum(float *parameter, const float *gradient, float *momentum, int64_t count, Rates rates,
                                bool nesterov, bool last) {
  if (last) {
    nesterov ? Move<true, true>(parameter, gradient, momentum, count, rates)
             : Move<false, true>(parameter, gradient, momentum, count, rates);
  } else {
    nesterov ? Move<true, false>(parameter, gradient, momentum, count, rates)
             : Move<false, false>(parameter, gradient, momentum, count, rates);
  }
}

TY_CLONES void MovePlainly(float *parameter, const float *gradient, int64_t count, Rates rates) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const float g = Fma(parameter[i], rates.weight_decay, gradient[i]);
    parameter[i] = Fma(g, -rates.lr, parameter[i]);
  }
}

// Without it Fma is a slow function.
bool HasFma() {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx2") > 0 && __builtin_cpu_supports("fma") > 0;
  return has;
#else
  return true;
#endif
}

// From here to the end of the scope this thread takes and makes no denormal numbers, each of which costs as much as a
// hundred others.
class WithoutDenormals {
 public:
#if defined(__x86_64__)
  WithoutDenormals() : before_(_mm_getcsr()) {
    _mm_setcsr(before_ | kFlushToZero | kDenormalsAreZero);
  }
  ~WithoutDenormals() {
    _mm_setcsr(before_);
  }
  WithoutDenormals(const WithoutDenormals &) = delete;
  WithoutDenormals &operator=(const WithoutDenormals &) = delete;

 private:
  static constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  const unsigned before_;
#endif
};

}  // namespace

bool FitsSgd(const std::vector<at::Tensor> &parameters) {
  return HasFma() && std::all_of(parameters.begin(), parameters.end(), [](const at::Tensor &parameter) {
           return parameter.is_cpu() && parameter.scalar_type() == at::kFloat &&
                  parameter.is_non_overlapping_and_dense();
         });
}

void SgdStep(const std::vector<at::Tensor> &parameters, const std::vector<at::Tensor> &gradients,
             const std::vector<at::Tensor> &momenta, const SgdRates &rates) {
  const Rates used{static_cast<float>(rates.lr), static_cast<float>(rates.momentum),
                   static_cast<float>(rates.weight_decay)};
  // Values from `first` to before `end` of tensor i.
  const auto move = [&](size_t i, int64_t first, int64_t end) {
    float *const parameter = MutableData(parameters[i]);
    const float *const gradient = Data(gradients[i]);
    if (rates.momentum == 0) return MovePlainly(parameter + first, gradient + first, end - first, used);
    float *const momentum = MutableData(momenta[i]);
    const int64_t split = std::clamp(parameters[i].numel() / kLanes * kLanes, first, end);
    MoveWithMomentum(parameter + first, gradient + first, momentum + first, split - first, used, rates.nesterov, false);
    MoveWithMomentum(parameter + split, gradient + split, momentum + split, end - split, used, rates.nesterov, true);
  };
  std::vector<int64_t> starts = {0};
  for (const at::Tensor &parameter : parameters) starts.push_back(starts.back() + parameter.numel());
  at::parallel_for(0, starts.back(), kGrain, [&](int64_t first, int64_t last) {
    [[maybe_unused]] const WithoutDenormals without_denormals;
    auto i = static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), first) - starts.begin()) - 1;
    for (int64_t at = first; at < last; ++i) {
      const int64_t end = std::min(last, starts[i + 1]);
      if (end > at) move(i, at - starts[i], end - starts[i]);
      at = end;
    }
  });
}

}  // namespace trainyard
