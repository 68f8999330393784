#include "engine_torch/image/augmentation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "util/error.h"

namespace trainyard::image {
namespace {

// Streams are a promise: another number would change what jobs draw that can be repeated now.
enum Stream : uint32_t {
  kCropStream,
  kVerticalFlipStream,
  kColorStream,
  kRotationStream,
  kGrayscaleStream,
  kErasingStream
};

void Require(bool ok, const char *what) {
  if (!ok) throw Error::InvalidArgument(what);
}

bool IsProbability(double value) {
  return value >= 0 && value <= 1;
}

bool IsRange(double low, double high, double most) {
  return low > 0 && low <= high && high <= most;
}

// The area's share and the ratio of the sides of a box, its sides rounded as Python's round() does.
std::pair<double, double> DrawSides(SampleRandom *random, double area, double scale_min, double scale_max,
                                    double log_min, double log_max) {
  const double target = area * random->Uniform(scale_min, scale_max);
  const double ratio = std::exp(random->Uniform(log_min, log_max));
  return {std::nearbyint(std::sqrt(target * ratio)), std::nearbyint(std::sqrt(target / ratio))};
}

void DrawColor(SampleRandom random, const ColorJitter &jitter, Augmentation *out) {
  const std::array<double, 4> widths = {jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue};
  std::array<size_t, 4> order = {0, 1, 2, 3};
  for (size_t i = order.size() - 1; i > 0; --i) {
    std::swap(order[i], order[static_cast<size_t>(random.Below(static_cast<int>(i) + 1))]);
  }
  std::array<double, 4> factors = {};
  for (size_t i = 0; i < widths.size(); ++i) {
    const bool hue = i == 3;
    const double low = hue ? -widths[i] : std::max(0.0, 1 - widths[i]), high = hue ? widths[i] : 1 + widths[i];
    factors[i] = random.Uniform(low, high);
  }
  for (const size_t i : order) {
    if (widths[i] > 0) out->color[out->color_steps++] = {static_cast<ColorStep::Kind>(i), factors[i]};
  }
}

Rect DrawErasing(SampleRandom random, const RandomErasing &erasing, int side) {
  if (random.Uniform(0, 1) >= erasing.probability) return {};
  const double area = static_cast<double>(side) * side;
  const double log_min = std::log(erasing.ratio_min), log_max = std::log(erasing.ratio_max);
  for (int attempt = 0; attempt < 10; ++attempt) {
    // Here the ratio is height to width.
    const auto [height, width] = DrawSides(&random, area, erasing.scale_min, erasing.scale_max, log_min, log_max);
    if (height >= side || width >= side) continue;
    Rect box = {0, 0, static_cast<int>(width), static_cast<int>(height)};
    box.y = random.Below(side - box.height + 1);
    box.x = random.Below(side - box.width + 1);
    return box;
  }
  return {};
}

}  // namespace

void AugmentationConfig::Check() const {
  Require(IsRange(scale_min, scale_max, 1e6), "scale must be a range of positive numbers, low to high");
  Require(IsRange(ratio_min, ratio_max, 1e6), "ratio must be a range of positive numbers, low to high");
  Require(IsProbability(horizontal_flip), "horizontal_flip must be a probability, 0 to 1");
  Require(IsProbability(vertical_flip), "vertical_flip must be a probability, 0 to 1");
  for (const double width : {jitter.brightness, jitter.contrast, jitter.saturation}) {
    Require(width >= 0 && std::isfinite(width), "brightness, contrast and saturation must be at least 0");
  }
  Require(jitter.hue >= 0 && jitter.hue <= 0.5, "hue must be 0 to 0.5");
  Require(rotation.degrees >= 0 && std::isfinite(rotation.degrees), "rotation must be at least 0 degrees");
  Require(IsProbability(grayscale), "grayscale must be a probability, 0 to 1");
  Require(IsProbability(erasing.probability), "erasing must be a probability, 0 to 1");
  Require(IsRange(erasing.scale_min, erasing.scale_max, 1),
          "erasing's scale must be a range within 0 to 1, low to high");
  Require(IsRange(erasing.ratio_min, erasing.ratio_max, 1e6),
          "erasing's ratio must be a range of positive numbers, low to high");
}

Augmentation DrawTrainCrop(SampleRandom *random, const AugmentationConfig &config, int width, int height) {
  const double area = static_cast<double>(width) * height;
  const double log_min = std::log(config.ratio_min), log_max = std::log(config.ratio_max);
  Augmentation drawn;
  for (int attempt = 0; attempt < 10 && drawn.box.width == 0; ++attempt) {
    const auto [w, h] = DrawSides(random, area, config.scale_min, config.scale_max, log_min, log_max);
    if (w > 0 && w <= width && h > 0 && h <= height) {
      drawn.box.width = static_cast<int>(w);
      drawn.box.height = static_cast<int>(h);
      drawn.box.y = random->Below(height - drawn.box.height + 1);
      drawn.box.x = random->Below(width - drawn.box.width + 1);
    }
  }
  if (drawn.box.width == 0) {
    // The largest centred box whose ratio is allowed.
    const auto round = [](double value) { return static_cast<int>(std::nearbyint(value)); };
    const double ratio = static_cast<double>(width) / height;
    drawn.box.width = width;
    drawn.box.height = height;
    if (ratio < config.ratio_min) {
      drawn.box.height = std::clamp(round(width / config.ratio_min), 1, height);
    } else if (ratio > config.ratio_max) {
      drawn.box.width = std::clamp(round(height * config.ratio_max), 1, width);
    }
    drawn.box.y = (height - drawn.box.height) / 2;
    drawn.box.x = (width - drawn.box.width) / 2;
  }
  drawn.flip = random->Uniform(0, 1) < config.horizontal_flip;
  return drawn;
}

Augmentation DrawAugmentation(const AugmentationConfig &config, uint64_t seed, uint32_t epoch, uint64_t index,
                              int width, int height, int crop) {
  const auto stream = [&](Stream number) { return SampleRandom(seed, epoch, index, number); };
  SampleRandom random = stream(kCropStream);
  Augmentation drawn = DrawTrainCrop(&random, config, width, height);
  drawn.vertical_flip = stream(kVerticalFlipStream).Uniform(0, 1) < config.vertical_flip;
  DrawColor(stream(kColorStream), config.jitter, &drawn);
  const double most = config.rotation.degrees;
  if (most > 0) drawn.degrees = stream(kRotationStream).Uniform(-most, most);
  drawn.grayscale = stream(kGrayscaleStream).Uniform(0, 1) < config.grayscale;
  drawn.erased = DrawErasing(stream(kErasingStream), config.erasing, crop);
  return drawn;
}

}  // namespace trainyard::image
