#include "engine_torch/kernels/dropout.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>
#include <vector>

#include "engine_torch/kernels/clones.h"
#include "engine_torch/kernels/tensor_data.h"

namespace trainyard {
namespace {

// Values that are worth a thread; a multiple of 2.
constexpr int64_t kGrain = 1 << 15;

// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): the number after `steps`.
TY_INLINE uint64_t SplitMix(uint64_t seed, uint64_t steps) {
  uint64_t z = seed + steps * 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

struct Mask {
  uint64_t seed;
  uint32_t below;  // what is below is dropped
  float scale;     // of what stays
};

// Values `first` (even) to before `last`, two for each random number. Multiplied, so that a NaN stays one.
TY_CLONES void Apply(const float *input, int64_t first, int64_t last, Mask mask, float *output) {
  const int64_t pairs = (last - first) / 2;
  const float *const x = input + first;
  float *const y = output + first;
#pragma GCC ivdep
  for (int64_t i = 0; i < pairs; ++i) {
    const uint64_t random = SplitMix(mask.seed, static_cast<uint64_t>(first / 2 + i));
    y[2 * i] = x[2 * i] * (static_cast<uint32_t>(random) < mask.below ? 0.0F : mask.scale);
    y[2 * i + 1] = x[2 * i + 1] * (static_cast<uint32_t>(random >> 32) < mask.below ? 0.0F : mask.scale);
  }
  if ((last - first) % 2 == 0) return;
  const uint64_t random = SplitMix(mask.seed, static_cast<uint64_t>(first / 2 + pairs));
  output[last - 1] = input[last - 1] * (static_cast<uint32_t>(random) < mask.below ? 0.0F : mask.scale);
}

void ApplyAll(const at::Tensor &input, const Mask &mask, const at::Tensor &output) {
  const int64_t count = input.numel();
  at::parallel_for(0, (count + 1) / 2, kGrain / 2, [&](int64_t first, int64_t last) {
    Apply(Data(input), 2 * first, std::min(2 * last, count), mask, MutableData(output));
  });
}

uint64_t DrawSeed() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

Mask MaskOf(uint64_t seed, double probability) {
  constexpr double kRange = 4294967296.0;  // 2^32
  const double below = std::min(std::round(probability * kRange), kRange - 1);
  return {seed, static_cast<uint32_t>(below), static_cast<float>(1 / (1 - probability))};
}

class DropoutFunction : public torch::autograd::Function<DropoutFunction> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &input, double probability) {
    const uint64_t seed = DrawSeed();
    context->saved_data["seed"] = std::bit_cast<int64_t>(seed);
    context->saved_data["probability"] = probability;
    context->saved_data["strides"] = input.strides();
    at::Tensor output = at::empty_like(input);
    ApplyAll(input, MaskOf(seed, probability), output);
    return output;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                 const torch::autograd::variable_list &gradients) {
    const Mask mask = MaskOf(std::bit_cast<uint64_t>(context->saved_data["seed"].toInt()),
                             context->saved_data["probability"].toDouble());
    // The mask goes by memory: the gradient has to lie there as the input did.
    const std::vector<int64_t> strides = context->saved_data["strides"].toIntVector();
    const at::Tensor &given = gradients[0];
    const at::Tensor gradient =
        given.strides() == strides ? given : at::empty_strided(given.sizes(), strides, given.options()).copy_(given);
    at::Tensor result = at::empty_strided(given.sizes(), strides, given.options());
    ApplyAll(gradient, mask, result);
    return {result, at::Tensor()};
  }
};

}  // namespace

bool FitsDropout(const at::Tensor &input) {
  return input.is_cpu() && input.scalar_type() == at::kFloat && input.is_non_overlapping_and_dense();
}

at::Tensor Dropped(const at::Tensor &input, double probability) {
  return DropoutFunction::apply(input, probability);
}

}  // namespace trainyard
