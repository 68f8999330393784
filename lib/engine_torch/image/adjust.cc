#include "engine_torch/image/adjust.h"

#include <algorithm>
#include <array>

namespace trainyard::image {
namespace {

// Bodies are inlined into a function for every CPU and one for AVX2, where the compiler vectorises them anew.
#define TRAINYARD_BODY __attribute__((always_inline)) inline

// Pixels that are worked on at once, by plane: what the compiler needs to vectorise, and what the first cache holds.
constexpr size_t kBlock = 256;

struct Block {
  using Plane = std::array<int32_t, kBlock>;
  alignas(32) Plane red;
  alignas(32) Plane green;
  alignas(32) Plane blue;
};

TRAINYARD_BODY void Split(const uint8_t *rgb, size_t count, Block *out) {
  for (size_t i = 0; i < count; ++i) {
    out->red[i] = rgb[i * 3];
    out->green[i] = rgb[i * 3 + 1];
    out->blue[i] = rgb[i * 3 + 2];
  }
}

TRAINYARD_BODY void Join(const Block &block, size_t count, uint8_t *rgb) {
  for (size_t i = 0; i < count; ++i) {
    rgb[i * 3] = static_cast<uint8_t>(block.red[i]);
    rgb[i * 3 + 1] = static_cast<uint8_t>(block.green[i]);
    rgb[i * 3 + 2] = static_cast<uint8_t>(block.blue[i]);
  }
}

// ITU-R 601-2, as Pillow's convert("L") computes it.
TRAINYARD_BODY int32_t Luma(int32_t red, int32_t green, int32_t blue) {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

// Image.blend of one value. Pillow computes in float, limits to 0..255 and cuts off; cutting off first gives the same.
TRAINYARD_BODY int32_t Blend(int32_t from, int32_t to, float factor) {
  const auto value = static_cast<int32_t>(static_cast<float>(from) + factor * static_cast<float>(to - from));
  return std::min(std::max(value, 0), 255);
}

TRAINYARD_BODY void BlendPlaneBody(uint8_t *rgb, size_t pixels, int32_t from, float factor) {
  for (size_t i = 0; i < pixels * 3; ++i) rgb[i] = static_cast<uint8_t>(Blend(from, rgb[i], factor));
}

TRAINYARD_BODY void BlendLumaBody(uint8_t *rgb, size_t pixels, float factor) {
  Block block;
  for (size_t done = 0; done < pixels; done += kBlock, rgb += kBlock * 3) {
    const size_t count = std::min(kBlock, pixels - done);
    Split(rgb, count, &block);
    for (size_t i = 0; i < count; ++i) {
      const int32_t luma = Luma(block.red[i], block.green[i], block.blue[i]);
      block.red[i] = Blend(luma, block.red[i], factor);
      block.green[i] = Blend(luma, block.green[i], factor);
      block.blue[i] = Blend(luma, block.blue[i], factor);
    }
    Join(block, count, rgb);
  }
}

TRAINYARD_BODY uint64_t SumLumaBody(const uint8_t *rgb, size_t pixels) {
  Block block;
  uint64_t sum = 0;
  for (size_t done = 0; done < pixels; done += kBlock, rgb += kBlock * 3) {
    const size_t count = std::min(kBlock, pixels - done);
    Split(rgb, count, &block);
    int32_t part = 0;
    for (size_t i = 0; i < count; ++i) part += Luma(block.red[i], block.green[i], block.blue[i]);
    sum += static_cast<uint64_t>(part);
  }
  return sum;
}

TRAINYARD_BODY void GrayscaleBody(uint8_t *rgb, size_t pixels) {
  for (size_t i = 0; i < pixels; ++i) {
    const auto luma = static_cast<uint8_t>(Luma(rgb[i * 3], rgb[i * 3 + 1], rgb[i * 3 + 2]));
    rgb[i * 3] = luma;
    rgb[i * 3 + 1] = luma;
    rgb[i * 3 + 2] = luma;
  }
}

// C's round() of a number that is not negative.
TRAINYARD_BODY int32_t RoundHalfUp(double value) {
  const auto whole = static_cast<int32_t>(value);
  return whole + (value - static_cast<double>(whole) >= 0.5 ? 1 : 0);
}

// Pillow's conversion to HSV, which is that of Python's colorsys in single precision with doubles in between; red,
// green and blue become hue, saturation and value. A grey pixel divides by 1: it comes out with saturation 0, as from
// Pillow.
TRAINYARD_BODY void ToHsv(size_t count, Block *block) {
  for (size_t i = 0; i < count; ++i) {
    const int32_t red = block->red[i], green = block->green[i], blue = block->blue[i];
    const int32_t highest = std::max(red, std::max(green, blue));
    const int32_t lowest = std::min(red, std::min(green, blue));
    const auto range = static_cast<float>(std::max(highest - lowest, 1));
    const float to_red = static_cast<float>(highest - red) / range;
    const float to_green = static_cast<float>(highest - green) / range;
    const float to_blue = static_cast<float>(highest - blue) / range;
    const float from_red = to_blue - to_green;
    const auto from_green = static_cast<float>(2.0 + static_cast<double>(to_red) - static_cast<double>(to_blue));
    const auto from_blue = static_cast<float>(4.0 + static_cast<double>(to_green) - static_cast<double>(to_red));
    const float sixths = red == highest ? from_red : green == highest ? from_green : from_blue;
    const double turns = static_cast<double>(sixths) / 6.0 + 1.0;  // below 2: fmod(turns, 1) takes away at most 1
    const auto hue = static_cast<float>(turns - (turns >= 1.0 ? 1.0 : 0.0));
    const float saturation = static_cast<float>(highest - lowest) / static_cast<float>(std::max(highest, 1));
    block->red[i] = static_cast<int32_t>(static_cast<double>(hue) * 255.0);
    block->green[i] = static_cast<int32_t>(static_cast<double>(saturation) * 255.0);
    block->blue[i] = highest;
  }
}

// And back, first the four values that the channels are made of, as the bytes of one number: value, low, falling,
// rising. red becomes the sixth of the circle, green these bytes. Where a pixel is grey all of them are equal, so that
// its hue does not matter.
TRAINYARD_BODY void FromHsv(size_t count, Block *block) {
  for (size_t i = 0; i < count; ++i) {
    const double sixths = static_cast<double>(block->red[i]) * 6.0 / 255.0;
    const auto sector = static_cast<int32_t>(sixths);  // 0 to 6, where 6 is 0 again
    const auto rest = static_cast<float>(sixths - static_cast<double>(sector));
    const auto saturation = static_cast<float>(static_cast<double>(block->green[i]) / 255.0);
    const double value = static_cast<double>(block->blue[i]), exact = static_cast<double>(saturation);
    const int32_t low = RoundHalfUp(value * (1.0 - exact));
    const int32_t falling = RoundHalfUp(value * (1.0 - static_cast<double>(saturation * rest)));
    const int32_t rising = RoundHalfUp(value * (1.0 - exact * (1.0 - static_cast<double>(rest))));
    block->red[i] = sector;
    block->green[i] = block->blue[i] | low << 8 | falling << 16 | rising << 24;
  }
}

// What red, green and blue are in each sixth of the circle, as places of FromHsv's bytes.
enum Place : uint8_t { kValue = 0, kLow = 8, kFalling = 16, kRising = 24 };
constexpr std::array<std::array<Place, 3>, 7> kSectors = {{{kValue, kRising, kLow},
                                                           {kFalling, kValue, kLow},
                                                           {kLow, kValue, kRising},
                                                           {kLow, kFalling, kValue},
                                                           {kRising, kLow, kValue},
                                                           {kValue, kLow, kFalling},
                                                           {kValue, kRising, kLow}}};

TRAINYARD_BODY void ShiftHueBody(uint8_t *rgb, size_t pixels, int32_t by) {
  Block block;
  for (size_t done = 0; done < pixels; done += kBlock, rgb += kBlock * 3) {
    const size_t count = std::min(kBlock, pixels - done);
    Split(rgb, count, &block);
    ToHsv(count, &block);
    for (size_t i = 0; i < count; ++i) block.red[i] = (block.red[i] + by) & 255;
    FromHsv(count, &block);
    for (size_t i = 0; i < count; ++i) {
      const std::array<Place, 3> &places = kSectors[static_cast<size_t>(block.red[i])];
      for (size_t c = 0; c < 3; ++c) rgb[i * 3 + c] = static_cast<uint8_t>(block.green[i] >> places[c]);
    }
  }
}

void BlendPlane(uint8_t *rgb, size_t pixels, int32_t from, float factor) {
  BlendPlaneBody(rgb, pixels, from, factor);
}
void BlendLuma(uint8_t *rgb, size_t pixels, float factor) {
  BlendLumaBody(rgb, pixels, factor);
}
uint64_t SumLuma(const uint8_t *rgb, size_t pixels) {
  return SumLumaBody(rgb, pixels);
}
void ShiftHue(uint8_t *rgb, size_t pixels, int32_t by) {
  ShiftHueBody(rgb, pixels, by);
}
void Grayscale(uint8_t *rgb, size_t pixels) {
  GrayscaleBody(rgb, pixels);
}

#if defined(__x86_64__)
#define TRAINYARD_AVX2 __attribute__((target("avx2")))
TRAINYARD_AVX2 void BlendPlaneAvx2(uint8_t *rgb, size_t pixels, int32_t from, float factor) {
  BlendPlaneBody(rgb, pixels, from, factor);
}
TRAINYARD_AVX2 void BlendLumaAvx2(uint8_t *rgb, size_t pixels, float factor) {
  BlendLumaBody(rgb, pixels, factor);
}
TRAINYARD_AVX2 uint64_t SumLumaAvx2(const uint8_t *rgb, size_t pixels) {
  return SumLumaBody(rgb, pixels);
}
TRAINYARD_AVX2 void ShiftHueAvx2(uint8_t *rgb, size_t pixels, int32_t by) {
  ShiftHueBody(rgb, pixels, by);
}
TRAINYARD_AVX2 void GrayscaleAvx2(uint8_t *rgb, size_t pixels) {
  GrayscaleBody(rgb, pixels);
}
#endif

struct Kernels {
  decltype(&BlendPlane) blend_plane;
  decltype(&BlendLuma) blend_luma;
  decltype(&SumLuma) sum_luma;
  decltype(&ShiftHue) shift_hue;
  decltype(&Grayscale) grayscale;
};

constexpr Kernels kPortable = {BlendPlane, BlendLuma, SumLuma, ShiftHue, Grayscale};

const Kernels &KernelsFor([[maybe_unused]] Simd simd) {
#if defined(__x86_64__)
  static constexpr Kernels kAvx2 = {BlendPlaneAvx2, BlendLumaAvx2, SumLumaAvx2, ShiftHueAvx2, GrayscaleAvx2};
  if (simd == Simd::kBest && __builtin_cpu_supports("avx2")) return kAvx2;
#endif
  return kPortable;
}

// Beyond it every change is one from limit to limit; here the result of Blend still is an integer.
float BlendFactor(double factor) {
  return static_cast<float>(std::min(factor, 1e6));
}

}  // namespace

void AdjustBrightness(uint8_t *rgb, size_t pixels, double factor, Simd simd) {
  KernelsFor(simd).blend_plane(rgb, pixels, 0, BlendFactor(factor));
}

void AdjustContrast(uint8_t *rgb, size_t pixels, double factor, Simd simd) {
  if (pixels == 0) return;
  const Kernels &kernels = KernelsFor(simd);
  const double mean = static_cast<double>(kernels.sum_luma(rgb, pixels)) / static_cast<double>(pixels);
  kernels.blend_plane(rgb, pixels, static_cast<int32_t>(mean + 0.5), BlendFactor(factor));
}

void AdjustSaturation(uint8_t *rgb, size_t pixels, double factor, Simd simd) {
  KernelsFor(simd).blend_luma(rgb, pixels, BlendFactor(factor));
}

void AdjustHue(uint8_t *rgb, size_t pixels, double factor, Simd simd) {
  // Towards 0, and around the circle of 256 hues.
  KernelsFor(simd).shift_hue(rgb, pixels, static_cast<int32_t>(factor * 255.0) & 255);
}

void ToGrayscale(uint8_t *rgb, size_t pixels, Simd simd) {
  KernelsFor(simd).grayscale(rgb, pixels);
}

}  // namespace trainyard::image
