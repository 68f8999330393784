// Arrays for tests of jobs on them, as files: what numpy.save and safetensors would write. Thread rule: functions.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine_torch/weights/file_builders.h"
#include "util/fs.h"

namespace trainyard::testing {

template <typename T>
std::string RawOf(const std::vector<T> &values) {
  std::string bytes;
  for (const T value : values) bytes += Raw(value);
  return bytes;
}

// "(2, 3)", "(2,)"
inline std::string Tuple(const std::vector<int64_t> &shape) {
  std::string text;
  for (const int64_t size : shape) text += std::to_string(size) + ",";
  return "(" + text + ")";
}

inline const char *DescrOf(float) {
  return "<f4";
}
inline const char *DescrOf(double) {
  return "<f8";
}
inline const char *DescrOf(int64_t) {
  return "<i8";
}
inline const char *DescrOf(uint8_t) {
  return "|u1";
}

// <directory>/<name>.npy
template <typename T>
void WriteArray(const std::string &directory, const std::string &name, const std::vector<int64_t> &shape,
                const std::vector<T> &values) {
  MakeDirs(directory);
  WriteFileAtomic(JoinPath(directory, name + ".npy"), Npy(DescrOf(T()), Tuple(shape), RawOf(values)));
}

// Numbers from -1 to 1 that look random and are the same everywhere.
class Noise {
 public:
  explicit Noise(uint32_t seed) : state_(seed * 2654435761u + 12345u) {}
  float Next() {
    state_ = state_ * 1664525u + 1013904223u;
    return static_cast<float>(static_cast<double>(state_ >> 8) / (1 << 23) - 1);
  }
  std::vector<float> Many(size_t count) {
    std::vector<float> values(count);
    for (float &value : values) value = Next();
    return values;
  }

 private:
  uint32_t state_;
};

}  // namespace trainyard::testing
