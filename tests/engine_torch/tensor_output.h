// What the drivers of the parity scripts answer with: named tensors in a .safetensors file. Thread rule: one thread at
// a time.
#pragma once

#include <ATen/Functions.h>

#include <deque>
#include <string>
#include <vector>

#include "engine_torch/weights/safetensors.h"

namespace trainyard::testing {

class TensorOutput {
 public:
  // Bytes stay bytes, everything else becomes float32; contiguous.
  void Add(const std::string &name, const at::Tensor &tensor) {
    const bool bytes = tensor.scalar_type() == at::kByte;
    kept_.push_back(tensor.detach().to(bytes ? at::kByte : at::kFloat).contiguous());
    NamedTensor &entry = tensors_.emplace_back();
    entry.name = name;
    entry.dtype = bytes ? DType::kUInt8 : DType::kFloat32;
    entry.shape = kept_.back().sizes().vec();
    entry.data = {static_cast<const std::byte *>(kept_.back().const_data_ptr()), kept_.back().nbytes()};
  }
  void Write(const char *path) const { WriteSafetensors(path, tensors_); }

 private:
  std::deque<at::Tensor> kept_;
  std::vector<NamedTensor> tensors_;
};

// The first tensor of a file, float32, as its own copy.
inline at::Tensor FirstTensorOf(const char *path) {
  const TensorFile file = OpenWeights(path);
  const NamedTensor &first = file.tensors.at(0);
  return at::from_blob(const_cast<std::byte *>(first.data.data()), first.shape, at::TensorOptions(at::kFloat)).clone();
}

}  // namespace trainyard::testing
