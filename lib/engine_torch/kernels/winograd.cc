#include "engine_torch/kernels/winograd.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "engine_torch/kernels/tensor_data.h"
#include "engine_torch/kernels/winograd_transforms.h"

namespace trainyard {
namespace {

using winograd::kWindow;

constexpr int64_t kLanes = 16;
// Tiles that go through all three stages of a convolution at once: their transformed values stay in a core's cache.
constexpr int64_t kMostTiles = 96;
constexpr int64_t kBlockFloats = int64_t{3} << 17;  // 1.5 MB
// Tiles whose products are added to the weights' gradient at once.
constexpr int64_t kGradientTiles = 512;
// With fewer, the weights cost more to transform than the multiplications saved.
constexpr int64_t kFewestTiles = 128;

#if defined(__x86_64__) && defined(CPUBLAS_BRGEMM_F32F32F32)
constexpr bool kBuilt = true;
void Multiply(int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c) {
  at::native::cpublas::brgemm(m, n, k, k, n, n, /*add_C=*/false, a, b, c, /*is_vnni=*/false);
}
void MultiplyEnds() {
  at::native::cpublas::brgemm_release(/*is_vnni=*/false);
}
#else
constexpr bool kBuilt = false;
void Multiply(int64_t, int64_t, int64_t, const float *, const float *, float *) {}
void MultiplyEnds() {}
#endif

// The tiles of a batch of images, by image, row and column.
struct Tiling {
  int64_t height, width, rows, columns, tiles;

  explicit Tiling(const at::Tensor &images)
      : height(images.size(2)),
        width(images.size(3)),
        rows((height + 1) / 2),
        columns((width + 1) / 2),
        tiles(images.size(0) * rows * columns) {}

  struct Place {
    int64_t image, y, x;  // of the tile's first pixel
  };
  Place At(int64_t tile) const {
    const int64_t in_image = tile % (rows * columns);
    return {tile / (rows * columns), 2 * (in_image / columns), 2 * (in_image % columns)};
  }
  // Where a pixel's channels begin, or `outside`.
  template <typename Float>
  Float *Pixel(Float *images, int64_t channels, int64_t image, int64_t y, int64_t x, Float *outside) const {
    if (y < 0 || x < 0 || y >= height || x >= width) return outside;
    return images + ((image * height + y) * width + x) * channels;
  }
  // side: 4 for the window, which begins one pixel before the tile; 2 for the tile.
  template <int kSide, typename Float>
  std::array<Float *, size_t{kSide} * kSide> Pixels(Float *images, int64_t channels, int64_t tile,
                                                    Float *outside) const {
    constexpr int64_t kBefore = kSide == 4 ? 1 : 0;
    const Place at = At(tile);
    std::array<Float *, size_t{kSide} * kSide> pixels;
    for (int i = 0; i < kSide * kSide; ++i) {
      pixels[static_cast<size_t>(i)] =
          Pixel(images, channels, at.image, at.y - kBefore + i / kSide, at.x - kBefore + i % kSide, outside);
    }
    return pixels;
  }
};

at::Tensor Scratch(at::IntArrayRef shape) {
  return at::empty(shape, at::kFloat);
}

// Transformed weights, [16][in][out]: what a convolution multiplies by. weight: [out][3][3][in] in memory.
at::Tensor ForwardWeights(const at::Tensor &weight) {
  const int64_t out = weight.size(0);
  const int64_t in = weight.size(1);
  const at::Tensor transformed = Scratch({kWindow, in, out});
  const float *const from = Data(weight);
  float *const to = MutableData(transformed);
  // A little more than `out`: rows a power of two apart would all want the same few lines of the cache.
  const int64_t row = out + kLanes;
  at::parallel_for(0, in / kLanes, 1, [&](int64_t first, int64_t last) {
    std::vector<float> turned(static_cast<size_t>(9 * kLanes * row));  // [9][in][out] of sixteen input channels
    for (int64_t block = first; block < last; ++block) {
      for (int64_t o = 0; o < out; ++o) {
        for (int64_t tap = 0; tap < 9; ++tap) {
          const float *const values = from + (o * 9 + tap) * in + block * kLanes;
          float *const column = turned.data() + tap * kLanes * row + o;
          for (int64_t i = 0; i < kLanes; ++i) column[i * row] = values[i];
        }
      }
      for (int64_t i = 0; i < kLanes; ++i) {
        std::array<const float *, 9> taps;
        for (size_t tap = 0; tap < 9; ++tap) taps[tap] = turned.data() + (static_cast<int64_t>(tap) * kLanes + i) * row;
        winograd::TransformWeight(taps.data(), out, to + (block * kLanes + i) * out, in * out);
      }
    }
  });
  return transformed;
}

// Of the convolution that yields the input's gradient, [16][out][in]: its weights are the same, turned by half a
// circle.
at::Tensor BackwardWeights(const at::Tensor &weight) {
  const int64_t out = weight.size(0);
  const int64_t in = weight.size(1);
  const at::Tensor transformed = Scratch({kWindow, out, in});
  const float *const from = Data(weight);
  float *const to = MutableData(transformed);
  at::parallel_for(0, out, 8, [&](int64_t first, int64_t last) {
    for (int64_t o = first; o < last; ++o) {
      std::array<const float *, 9> taps;
      for (size_t tap = 0; tap < 9; ++tap) taps[tap] = from + (o * 9 + 8 - static_cast<int64_t>(tap)) * in;
      winograd::TransformWeight(taps.data(), in, to + o * in, out * in);
    }
  });
  return transformed;
}

int64_t TilesAtOnce(int64_t tiles, int64_t channels) {
  const int64_t most = std::clamp(kBlockFloats / (kWindow * channels), int64_t{32}, kMostTiles);
  const int64_t threads = at::get_num_threads();
  const int64_t blocks = (tiles + most - 1) / most;
  const int64_t even = (blocks + threads - 1) / threads * threads;
  return (tiles + even - 1) / even;
}

// input: channels-last. transformed: [16][channels of the input][channels of the output]. bias: or undefined.
at::Tensor Convolve(const at::Tensor &input, const at::Tensor &transformed, const at::Tensor &bias) {
  const Tiling tiling(input);
  const int64_t in = transformed.size(1);
  const int64_t out = transformed.size(2);
  const at::Tensor output =
      at::empty({input.size(0), out, tiling.height, tiling.width}, at::kFloat, at::MemoryFormat::ChannelsLast);
  const float *const from = Data(input);
  const float *const weights = Data(transformed);
  const float *const add = bias.defined() ? Data(bias) : nullptr;
  float *const to = MutableData(output);
  const int64_t block = TilesAtOnce(tiling.tiles, in + out);
  at::parallel_for(0, (tiling.tiles + block - 1) / block, 1, [&](int64_t first, int64_t last) {
    const at::Tensor values = Scratch({kWindow, block, in});
    const at::Tensor products = Scratch({kWindow, block, out});
    const std::vector<float> zeros(static_cast<size_t>(in), 0.0F);
    std::vector<float> spill(static_cast<size_t>(out));
    for (int64_t b = first; b < last; ++b) {
      const int64_t begin = b * block;
      const int64_t count = std::min(block, tiling.tiles - begin);
      for (int64_t t = 0; t < count; ++t) {
        const auto window = tiling.Pixels<4>(from, in, begin + t, zeros.data());
        winograd::TransformInput(window.data(), in, MutableData(values) + t * in, block * in);
      }
      for (int64_t i = 0; i < kWindow; ++i) {
        Multiply(count, out, in, Data(values) + i * block * in, weights + i * in * out,
                 MutableData(products) + i * block * out);
      }
      for (int64_t t = 0; t < count; ++t) {
        const auto pixels = tiling.Pixels<2>(to, out, begin + t, spill.data());
        winograd::TransformOutput(Data(products) + t * out, block * out, out, add, pixels.data());
      }
    }
    MultiplyEnds();
  });
  return output;
}

// The gradient of weights [out, in, 3, 3], in channels-last memory.
at::Tensor WeightGradient(const at::Tensor &input, const at::Tensor &gradient) {
  const Tiling tiling(input);
  const int64_t in = input.size(1);
  const int64_t out = gradient.size(1);
  at::Tensor sums = Scratch({kWindow, out, in});
  const float *const images = Data(input);
  const float *const from = Data(gradient);
  const std::vector<float> zeros(static_cast<size_t>(std::max(in, out)), 0.0F);
  const int64_t block = std::min(kGradientTiles, tiling.tiles);
  for (int64_t begin = 0; begin < tiling.tiles; begin += block) {
    const int64_t count = std::min(block, tiling.tiles - begin);
    const at::Tensor values = Scratch({kWindow, count, in});
    const at::Tensor gradients = Scratch({kWindow, count, out});
    at::parallel_for(0, count, 16, [&](int64_t first, int64_t last) {
      for (int64_t t = first; t < last; ++t) {
        const auto window = tiling.Pixels<4>(images, in, begin + t, zeros.data());
        winograd::TransformInput(window.data(), in, MutableData(values) + t * in, count * in);
        const auto pixels = tiling.Pixels<2>(from, out, begin + t, zeros.data());
        winograd::TransformOutputGradient(pixels.data(), out, MutableData(gradients) + t * out, count * out);
      }
    });
    if (begin == 0) {
      at::bmm_out(sums, gradients.transpose(1, 2), values);
    } else {
      sums.baddbmm_(gradients.transpose(1, 2), values);
    }
  }
  const at::Tensor result = at::empty({out, in, 3, 3}, at::kFloat, at::MemoryFormat::ChannelsLast);
  const float *const transformed = Data(sums);
  float *const to = MutableData(result);
  at::parallel_for(0, out, 8, [&](int64_t first, int64_t last) {
    for (int64_t o = first; o < last; ++o) {
      std::array<float *, 9> taps;
      for (size_t tap = 0; tap < 9; ++tap) taps[tap] = to + (o * 9 + static_cast<int64_t>(tap)) * in;
      winograd::TransformWeightGradient(transformed + o * in, out * in, in, taps.data());
    }
  });
  return result;
}

class WinogradFunction : public torch::autograd::Function<WinogradFunction> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &input,
                            const at::Tensor &weight, const std::optional<at::Tensor> &bias) {
    context->save_for_backward({input, weight});
    context->saved_data["bias"] = bias.has_value();
    return Convolve(input, ForwardWeights(weight), bias.value_or(at::Tensor()));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                 const torch::autograd::variable_list &gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor gradient = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    torch::autograd::variable_list result(3);
    if (context->needs_input_grad(0)) result[0] = Convolve(gradient, BackwardWeights(saved[1]), {});
    if (context->needs_input_grad(1)) result[1] = WeightGradient(saved[0], gradient);
    // An absent input is not counted.
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) result[2] = gradient.sum({0, 2, 3});
    return result;
  }
};

}  // namespace

bool IsWinogradAvailable() {
  static const bool available = [] {
    if (!kBuilt) return false;
    try {
      const std::array<float, 1> one = {1.0F};
      std::array<float, 1> product = {0.0F};
      Multiply(1, 1, 1, one.data(), one.data(), product.data());
      MultiplyEnds();
      return product[0] == 1.0F;
    } catch (const std::exception &) {
      return false;  // not on this processor
    }
  }();
  return available;
}

bool IsWinogradWorthwhile(const at::Tensor &input, const at::Tensor &weight) {
  if (!input.is_cpu() || input.scalar_type() != at::kFloat || weight.scalar_type() != at::kFloat) return false;
  if (weight.dim() != 4 || weight.size(2) != 3 || weight.size(3) != 3 || input.dim() != 4) return false;
  if (input.size(1) != weight.size(1) || input.size(1) % kLanes != 0 || weight.size(0) % kLanes != 0) return false;
  if (!input.is_contiguous(at::MemoryFormat::ChannelsLast)) return false;
  if (!weight.is_contiguous(at::MemoryFormat::ChannelsLast)) return false;
  return Tiling(input).tiles >= kFewestTiles && IsWinogradAvailable();
}

at::Tensor WinogradConvolution(const at::Tensor &input, const at::Tensor &weight, const at::Tensor &bias) {
  return WinogradFunction::apply(input, weight, bias.defined() ? std::optional(bias) : std::nullopt);
}

}  // namespace trainyard
