// Small pictures for the report. Thread rule: functions may run concurrently.
#pragma once

#include <cstdint>
#include <string>

#include "engine_torch/image/image.h"

namespace trainyard::report {

inline constexpr int kThumbnailSide = 160;
// Larger images would take too much memory for so small a picture.
inline constexpr int64_t kMostThumbnailPixels = 50'000'000;

struct Thumbnail {
  std::string data_uri;  // "data:image/jpeg;base64,..."
  int width = 0;
  int height = 0;
};

// At most kThumbnailSide wide and high, never larger than the image. Throws what decoding the image throws, and
// kUnsupported for too large a one.
Thumbnail MakeThumbnail(const std::string &path);

// Baseline JPEG.
std::string EncodeJpeg(const image::Image &image, int quality);

}  // namespace trainyard::report
