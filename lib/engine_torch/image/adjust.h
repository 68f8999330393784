// The colour operations of torchvision.transforms.functional on Pillow images, in place on RGB bytes without gaps, bit
// for bit: ImageEnhance's blending in single precision, cut off and not rounded; luma in 16-bit fixed point; hue by way
// of Pillow's 8-bit HSV. One body each for every CPU and, compiled once more, for AVX2: the same bits.
//
// Thread rule: functions may run concurrently.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine_torch/image/resample.h"

namespace trainyard::image {

// Factors are at least 0: 1 leaves the pixels as they are; at 0 all are black, all have the mean luma, each has its
// own.
void AdjustBrightness(uint8_t *rgb, size_t pixels, double factor, Simd simd = Simd::kBest);
void AdjustContrast(uint8_t *rgb, size_t pixels, double factor, Simd simd = Simd::kBest);
void AdjustSaturation(uint8_t *rgb, size_t pixels, double factor, Simd simd = Simd::kBest);

// `factor`, from -0.5 to 0.5, is the part of the circle of hues by which each pixel moves.
void AdjustHue(uint8_t *rgb, size_t pixels, double factor, Simd simd = Simd::kBest);

// All three channels become the luma.
void ToGrayscale(uint8_t *rgb, size_t pixels, Simd simd = Simd::kBest);

}  // namespace trainyard::image
