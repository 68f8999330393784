#include "engine_torch/train/array_values.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cmath>
#include <cstring>

#include "util/error.h"

namespace trainyard {
namespace {

// Calls `visit` with a value of the type.
template <typename Visit>
auto WithType(DType dtype, Visit visit) {
  switch (dtype) {
    case DType::kFloat64:
      return visit(double());
    case DType::kFloat32:
      return visit(float());
    case DType::kFloat16:
      return visit(c10::Half());
    case DType::kBFloat16:
      return visit(c10::BFloat16());
    case DType::kInt64:
      return visit(int64_t());
    case DType::kInt32:
      return visit(int32_t());
    case DType::kInt16:
      return visit(int16_t());
    case DType::kInt8:
      return visit(int8_t());
    case DType::kUInt64:
      return visit(uint64_t());
    case DType::kUInt32:
      return visit(uint32_t());
    case DType::kUInt16:
      return visit(uint16_t());
    case DType::kUInt8:
    case DType::kBool:
      return visit(uint8_t());
  }
  throw Error::Internal("unknown dtype");
}

// The file may have put it anywhere.
template <typename T>
T At(const NamedTensor &array, size_t index) {
  T value;
  std::memcpy(&value, array.data.data() + index * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

bool IsFloating(DType dtype) {
  return dtype == DType::kFloat64 || dtype == DType::kFloat32 || dtype == DType::kFloat16 || dtype == DType::kBFloat16;
}

bool CopyFloats(const NamedTensor &array, size_t first, size_t count, float *out) {
  return WithType(array.dtype, [&](auto type) {
    using Type = decltype(type);
    bool finite = true;
    for (size_t i = 0; i < count; ++i) {
      out[i] = static_cast<float>(At<Type>(array, first + i));
      finite &= std::isfinite(out[i]);
    }
    return finite;
  });
}

double NumberAt(const NamedTensor &array, size_t index) {
  return WithType(array.dtype, [&](auto type) { return static_cast<double>(At<decltype(type)>(array, index)); });
}

int64_t IntegerAt(const NamedTensor &array, size_t index) {
  return WithType(array.dtype, [&](auto type) { return static_cast<int64_t>(At<decltype(type)>(array, index)); });
}

}  // namespace trainyard
