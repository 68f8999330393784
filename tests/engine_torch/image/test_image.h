// A picture that tests draw themselves, and hashes to compare pixels with. Single-threaded.
#pragma once

#include "engine_torch/image/image.h"
#include "engine_torch/image/test_images.h"

namespace trainyard::image {

inline Image TestImage(int width, int height) {
  Image image;
  image.Reset(width, height);
  for (size_t i = 0; i < image.rgb.size(); ++i) {
    image.rgb[i] = TestValue(static_cast<int>(i / 3) % width, static_cast<int>(i / 3) / width, static_cast<int>(i % 3));
  }
  return image;
}

// FNV-1a.
inline uint64_t Fnv(const void *data, size_t size) {
  uint64_t value = 0xcbf29ce484222325u;
  for (size_t i = 0; i < size; ++i) {
    value = (value ^ static_cast<const uint8_t *>(data)[i]) * 0x100000001b3u;
  }
  return value;
}

}  // namespace trainyard::image
