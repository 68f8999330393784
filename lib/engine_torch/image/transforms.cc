#include "engine_torch/image/transforms.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine_torch/image/adjust.h"
#include "engine_torch/image/rotate.h"
#include "util/error.h"

namespace trainyard::image {
namespace {

// Python's round(): halves go to the even neighbour.
int RoundHalfEven(double value) {
  return static_cast<int>(std::nearbyint(value));
}

// Python's // for a divisor of 2.
int FloorHalf(int value) {
  return value >= 0 ? value / 2 : -((1 - value) / 2);
}

Rect Intersect(const Rect &a, const Rect &b) {
  int left = std::max(a.x, b.x);
  int top = std::max(a.y, b.y);
  int right = std::min(a.x + a.width, b.x + b.width);
  int bottom = std::min(a.y + a.height, b.y + b.height);
  return {left, top, right - left, bottom - top};
}

}  // namespace

void TransformConfig::Check() const {
  auto require = [](bool ok, const char *what) {
    if (!ok) {
      throw Error::InvalidArgument(what);
    }
  };
  constexpr int kLargest = 1 << 14;
  require(resize >= 1 && resize <= kLargest, "resize must be 1 to 16384 pixels");
  require(crop >= 1 && crop <= kLargest, "crop must be 1 to 16384 pixels");
  augmentation.Check();
  for (size_t c = 0; c < 3; ++c) {
    require(std::isfinite(mean[c]), "mean must be three finite numbers");
    require(std::isfinite(std[c]) && std[c] != 0, "std must be three finite numbers other than 0");
  }
}

EvalGeometry PlanEval(const TransformConfig &config, int width, int height) {
  int shorter = std::min(width, height);
  int longer = std::max(width, height);
  // Truncated, computed in a double, as Python's int(size * long / short).
  int scaled = static_cast<int>(static_cast<double>(static_cast<int64_t>(config.resize) * longer) / shorter);
  EvalGeometry plan;
  plan.width = width <= height ? config.resize : scaled;
  plan.height = width <= height ? scaled : config.resize;
  auto offset = [&](int size) {
    // A side that is too short is padded first, the odd pixel at the end, and then cropped from 0.
    return size < config.crop ? -FloorHalf(config.crop - size) : RoundHalfEven((size - config.crop) / 2.0);
  };
  plan.window = {offset(plan.width), offset(plan.height), config.crop, config.crop};
  return plan;
}

Transformer::Transformer(const TransformConfig &config, Simd simd)
    : config_(config), simd_(simd), resampler_(simd, config.pass_order) {
  config_.Check();
  for (size_t c = 0; c < 3; ++c) {
    for (size_t value = 0; value < 256; ++value) {
      // In float32 and in this order, as ToTensor and Normalize compute it.
      table_[c][value] = (static_cast<float>(value) / 255.0f - config_.mean[c]) / config_.std[c];
    }
  }
  pixels_.resize(config_.floats());
}

Augmentation Transformer::LoadTrain(const std::string &path, uint64_t seed, uint32_t epoch, uint64_t index,
                                    float *out) {
  ReadImageFile(path, &file_);
  ImageReader reader(file_, path);
  const ImageInfo &info = reader.info();
  const Augmentation drawn =
      DrawAugmentation(config_.augmentation, seed, epoch, index, info.width, info.height, config_.crop);
  Train(&reader, drawn, out);
  return drawn;
}

void Transformer::LoadEval(const std::string &path, float *out) {
  ReadImageFile(path, &file_);
  ImageReader reader(file_, path);
  Eval(&reader, out);
}

void Transformer::Train(ImageReader *reader, const Augmentation &drawn, float *out) {
  Normalize(TrainPixels(reader, drawn), out);
  Erase(drawn.erased, out);
}
void Transformer::Eval(ImageReader *reader, float *out) {
  Normalize(EvalPixels(reader), out);
}
void Transformer::Train(const Image &image, const Augmentation &drawn, float *out) {
  Normalize(TrainPixels(image, drawn), out);
  Erase(drawn.erased, out);
}
void Transformer::Eval(const Image &image, float *out) {
  Normalize(EvalPixels(image), out);
}

const uint8_t *Transformer::TrainPixels(ImageReader *reader, const Augmentation &drawn) {
  Rect covered = reader->DecodeRegion(drawn.box, &image_);
  return CropTrain(ViewOf(image_, covered, drawn.box), drawn);
}

const uint8_t *Transformer::TrainPixels(const Image &image, const Augmentation &drawn) {
  return CropTrain(ViewOf(image, {0, 0, image.width, image.height}, drawn.box), drawn);
}

const uint8_t *Transformer::EvalPixels(ImageReader *reader) {
  const ImageInfo &info = reader->info();
  EvalGeometry plan = PlanEval(config_, info.width, info.height);
  Rect kept = Intersect(plan.window, {0, 0, plan.width, plan.height});
  Rect needed = NeededSource(info.width, info.height, plan.width, plan.height, kept);
  Rect covered = reader->DecodeRegion(needed, &image_);
  return CropEval(ViewOf(image_, covered, needed), needed, info.width, info.height);
}

const uint8_t *Transformer::EvalPixels(const Image &image) {
  return CropEval(ViewOf(image), {0, 0, image.width, image.height}, image.width, image.height);
}

const uint8_t *Transformer::CropTrain(const ImageView &view, const Augmentation &drawn) {
  resampler_.Resize(view, config_.crop, config_.crop, {0, 0, config_.crop, config_.crop}, pixels_.data());
  if (drawn.flip) Flip();
  if (drawn.vertical_flip) FlipVertically();
  AdjustColors(drawn);
  if (drawn.degrees != 0) {
    rotated_.resize(pixels_.size());
    Rotate(pixels_.data(), config_.crop, config_.crop, drawn.degrees, config_.augmentation.rotation.fill,
           rotated_.data());
    pixels_.swap(rotated_);
  }
  if (drawn.grayscale) ToGrayscale(pixels_.data(), pixels_.size() / 3, simd_);
  return pixels_.data();
}

void Transformer::AdjustColors(const Augmentation &drawn) {
  uint8_t *pixels = pixels_.data();
  const size_t count = pixels_.size() / 3;
  for (size_t i = 0; i < drawn.color_steps; ++i) {
    const double factor = drawn.color[i].factor;
    switch (drawn.color[i].kind) {
      case ColorStep::Kind::kBrightness:
        AdjustBrightness(pixels, count, factor, simd_);
        break;
      case ColorStep::Kind::kContrast:
        AdjustContrast(pixels, count, factor, simd_);
        break;
      case ColorStep::Kind::kSaturation:
        AdjustSaturation(pixels, count, factor, simd_);
        break;
      case ColorStep::Kind::kHue:
        AdjustHue(pixels, count, factor, simd_);
        break;
    }
  }
}

const uint8_t *Transformer::CropEval(const ImageView &view, const Rect &available, int width, int height) {
  EvalGeometry plan = PlanEval(config_, width, height);
  Rect kept = Intersect(plan.window, {0, 0, plan.width, plan.height});
  resampler_.ResizePart(view, available, width, height, plan.width, plan.height, kept, pixels_.data());
  if (kept == plan.window) {
    return pixels_.data();
  }
  // Padding: move the rows to their places, the last first, and blacken the rest.
  size_t row = static_cast<size_t>(config_.crop) * 3;
  size_t kept_row = static_cast<size_t>(kept.width) * 3;
  size_t left = static_cast<size_t>(kept.x - plan.window.x) * 3;
  for (int y = config_.crop - 1; y >= 0; --y) {
    uint8_t *to = pixels_.data() + static_cast<size_t>(y) * row;
    int source = y - (kept.y - plan.window.y);
    if (source < 0 || source >= kept.height) {
      memset(to, 0, row);
      continue;
    }
    memmove(to + left, pixels_.data() + static_cast<size_t>(source) * kept_row, kept_row);
    memset(to, 0, left);
    memset(to + left + kept_row, 0, row - left - kept_row);
  }
  return pixels_.data();
}

void Transformer::Flip() {
  size_t side = static_cast<size_t>(config_.crop);
  for (size_t y = 0; y < side; ++y) {
    uint8_t *left = pixels_.data() + y * side * 3;
    uint8_t *right = left + (side - 1) * 3;
    for (; left < right; left += 3, right -= 3) {
      std::swap_ranges(left, left + 3, right);
    }
  }
}

void Transformer::FlipVertically() {
  const size_t row = static_cast<size_t>(config_.crop) * 3;
  uint8_t *top = pixels_.data();
  uint8_t *bottom = top + (static_cast<size_t>(config_.crop) - 1) * row;
  for (; top < bottom; top += row, bottom -= row) std::swap_ranges(top, top + row, bottom);
}

void Transformer::Normalize(const uint8_t *pixels, float *out) const {
  size_t count = static_cast<size_t>(config_.crop) * static_cast<size_t>(config_.crop);
  size_t pixel_step = config_.layout == Layout::kNhwc ? 3 : 1;
  size_t channel_step = config_.layout == Layout::kNhwc ? 1 : count;
  for (size_t i = 0; i < count; ++i) {
    out[i * pixel_step] = table_[0][pixels[i * 3]];
    out[i * pixel_step + channel_step] = table_[1][pixels[i * 3 + 1]];
    out[i * pixel_step + 2 * channel_step] = table_[2][pixels[i * 3 + 2]];
  }
}

void Transformer::Erase(const Rect &part, float *out) const {
  const bool pixels = config_.layout == Layout::kNhwc;
  const size_t side = static_cast<size_t>(config_.crop), step = pixels ? 3 : 1, planes = pixels ? 1 : 3;
  for (size_t plane = 0; plane < planes; ++plane) {
    for (int y = 0; y < part.height; ++y) {
      const size_t first = static_cast<size_t>(part.y + y) * side + static_cast<size_t>(part.x);
      std::fill_n(out + plane * side * side + first * step, static_cast<size_t>(part.width) * step, 0.0f);
    }
  }
}

}  // namespace trainyard::image
