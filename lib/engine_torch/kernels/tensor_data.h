// The floats of a tensor that a kernel reads or writes. Thread rule: any thread.
#pragma once

#include <ATen/core/Tensor.h>

namespace trainyard {

inline const float *Data(const at::Tensor &tensor) {
  return tensor.const_data_ptr<float>();
}

inline float *MutableData(const at::Tensor &tensor) {
  return tensor.mutable_data_ptr<float>();
}

}  // namespace trainyard
