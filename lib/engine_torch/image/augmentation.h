// The random part of the training transform: the ranges that torchvision's transforms of the same names draw from, and
// one draw. Draws depend on (seed, epoch, index) alone; each transform has a stream of its own (random.h), so that
// switching one on leaves what the others draw as it is. The distributions are torchvision's, the numbers are not.
//
// Thread rule: values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine_torch/image/image.h"
#include "engine_torch/image/random.h"

namespace trainyard::image {

// ColorJitter: factors from 1 - x (at least 0) to 1 + x; hue from -x to x. 0: that one is left out.
struct ColorJitter {
  double brightness = 0;
  double contrast = 0;
  double saturation = 0;
  double hue = 0;
};

// RandomRotation: an angle from -degrees to degrees.
struct RandomRotation {
  double degrees = 0;
  std::array<uint8_t, 3> fill = {};
};

// RandomErasing with the value 0.
struct RandomErasing {
  double probability = 0;
  double scale_min = 0.02;
  double scale_max = 0.33;
  double ratio_min = 0.3;
  double ratio_max = 3.3;
};

// In the order of their use.
struct AugmentationConfig {
  double scale_min = 0.08;  // RandomResizedCrop
  double scale_max = 1.0;
  double ratio_min = 3.0 / 4.0;
  double ratio_max = 4.0 / 3.0;
  double horizontal_flip = 0.5;  // probabilities
  double vertical_flip = 0;
  ColorJitter jitter = {};
  RandomRotation rotation = {};
  double grayscale = 0;  // a probability
  RandomErasing erasing = {};

  // Throws kInvalidArgument naming the field.
  void Check() const;
};

struct ColorStep {
  enum class Kind { kBrightness, kContrast, kSaturation, kHue };
  Kind kind = Kind::kBrightness;
  double factor = 1;

  bool operator==(const ColorStep &) const = default;
};

// One draw.
struct Augmentation {
  Rect box = {};  // of the image: what is resized to the crop
  bool flip = false;
  bool vertical_flip = false;
  std::array<ColorStep, 4> color = {};
  size_t color_steps = 0;  // of them, in this order
  double degrees = 0;
  bool grayscale = false;
  Rect erased = {};  // of the crop; nothing when its sides are 0

  bool operator==(const Augmentation &) const = default;
};

// RandomResizedCrop.get_params and RandomHorizontalFlip for an image of width x height: box and flip alone.
Augmentation DrawTrainCrop(SampleRandom *random, const AugmentationConfig &config, int width, int height);

// Everything, for an image of width x height that becomes a square of `crop` pixels.
Augmentation DrawAugmentation(const AugmentationConfig &config, uint64_t seed, uint32_t epoch, uint64_t index,
                              int width, int height, int crop);

}  // namespace trainyard::image
