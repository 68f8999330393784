#include "engine_torch/image/transforms.h"

#include <algorithm>
#include <cmath>
#include <cstring>

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
  require(scale_min > 0 && scale_min <= scale_max && scale_max <= 1e6,
          "scale must be a range of positive numbers, low to high");
  require(ratio_min > 0 && ratio_min <= ratio_max && ratio_max <= 1e6,
          "ratio must be a range of positive numbers, low to high");
  require(flip >= 0 && flip <= 1, "flip must be a probability, 0 to 1");
  for (size_t c = 0; c < 3; ++c) {
    require(std::isfinite(mean[c]), "mean must be three finite numbers");
    require(std::isfinite(std[c]) && std[c] != 0, "std must be three finite numbers other than 0");
  }
}

CropParams DrawTrainCrop(SampleRandom *random, const TransformConfig &config, int width, int height) {
  double area = static_cast<double>(width) * height;
  double log_min = std::log(config.ratio_min);
  double log_max = std::log(config.ratio_max);
  CropParams params;
  for (int attempt = 0; attempt < 10 && params.box.width == 0; ++attempt) {
    double target = area * random->Uniform(config.scale_min, config.scale_max);
    double ratio = std::exp(random->Uniform(log_min, log_max));
    double w = std::nearbyint(std::sqrt(target * ratio));
    double h = std::nearbyint(std::sqrt(target / ratio));
    if (w > 0 && w <= width && h > 0 && h <= height) {
      params.box.width = static_cast<int>(w);
      params.box.height = static_cast<int>(h);
      params.box.y = random->Below(height - params.box.height + 1);
      params.box.x = random->Below(width - params.box.width + 1);
    }
  }
  if (params.box.width == 0) {
    // The largest centred box whose ratio is allowed.
    double ratio = static_cast<double>(width) / height;
    params.box.width = width;
    params.box.height = height;
    if (ratio < config.ratio_min) {
      params.box.height = std::clamp(RoundHalfEven(width / config.ratio_min), 1, height);
    } else if (ratio > config.ratio_max) {
      params.box.width = std::clamp(RoundHalfEven(height * config.ratio_max), 1, width);
    }
    params.box.y = (height - params.box.height) / 2;
    params.box.x = (width - params.box.width) / 2;
  }
  params.flip = random->Uniform(0, 1) < config.flip;
  return params;
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
    : config_(config), resampler_(simd, config.pass_order) {
  config_.Check();
  for (size_t c = 0; c < 3; ++c) {
    for (size_t value = 0; value < 256; ++value) {
      // In float32 and in this order, as ToTensor and Normalize compute it.
      table_[c][value] = (static_cast<float>(value) / 255.0f - config_.mean[c]) / config_.std[c];
    }
  }
  pixels_.resize(config_.floats());
}

CropParams Transformer::LoadTrain(const std::string &path, uint64_t seed, uint32_t epoch, uint64_t index, float *out) {
  ReadImageFile(path, &file_);
  ImageReader reader(file_, path);
  SampleRandom random(seed, epoch, index);
  CropParams params = DrawTrainCrop(&random, config_, reader.info().width, reader.info().height);
  Train(&reader, params, out);
  return params;
}

void Transformer::LoadEval(const std::string &path, float *out) {
  ReadImageFile(path, &file_);
  ImageReader reader(file_, path);
  Eval(&reader, out);
}

void Transformer::Train(ImageReader *reader, const CropParams &params, float *out) {
  Normalize(TrainPixels(reader, params), out);
}
void Transformer::Eval(ImageReader *reader, float *out) {
  Normalize(EvalPixels(reader), out);
}
void Transformer::Train(const Image &image, const CropParams &params, float *out) {
  Normalize(TrainPixels(image, params), out);
}
void Transformer::Eval(const Image &image, float *out) {
  Normalize(EvalPixels(image), out);
}

const uint8_t *Transformer::TrainPixels(ImageReader *reader, const CropParams &params) {
  Rect covered = reader->DecodeRegion(params.box, &image_);
  return CropTrain(ViewOf(image_, covered, params.box), params.flip);
}

const uint8_t *Transformer::TrainPixels(const Image &image, const CropParams &params) {
  return CropTrain(ViewOf(image, {0, 0, image.width, image.height}, params.box), params.flip);
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

const uint8_t *Transformer::CropTrain(const ImageView &view, bool flip) {
  resampler_.Resize(view, config_.crop, config_.crop, {0, 0, config_.crop, config_.crop}, pixels_.data());
  if (flip) {
    Flip();
  }
  return pixels_.data();
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

}  // namespace trainyard::image
