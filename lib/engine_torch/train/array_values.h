// Elements of arrays as numbers, whatever their type and wherever in memory they lie. Thread rule: functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine_torch/weights/tensor_file.h"

namespace trainyard {

bool IsFloating(DType dtype);

// `count` elements from `first` on. False: one is not finite, or greater than a float can be.
bool CopyFloats(const NamedTensor &array, size_t first, size_t count, float *out);

double NumberAt(const NamedTensor &array, size_t index);
// Of a type that is not floating. A number that does not fit is negative.
int64_t IntegerAt(const NamedTensor &array, size_t index);

}  // namespace trainyard
