// For weights_parity.py. `weights_driver <in> <out.safetensors>` reads any weight file, writes its tensors contiguous
// and prints what else it found, one "key value" line each; on failure "error <status> <message>", exit status 1.
#include <cstdio>
#include <cstring>
#include <vector>

#include "engine_torch/weights/safetensors.h"

namespace {

using trainyard::NamedTensor;

// Copies element by element, in row-major order.
std::vector<std::byte> Contiguous(const NamedTensor &tensor) {
  const size_t size = SizeOf(tensor.dtype);
  if (tensor.strides.empty()) return {tensor.data.begin(), tensor.data.end()};
  std::vector<std::byte> result(static_cast<size_t>(tensor.ElementCount()) * size);
  std::vector<int64_t> index(tensor.shape.size(), 0);
  for (size_t done = 0; done < result.size(); done += size) {
    int64_t offset = 0;
    for (size_t i = 0; i < index.size(); ++i) offset += index[i] * tensor.strides[i];
    std::memcpy(result.data() + done, tensor.data.data() + static_cast<size_t>(offset) * size, size);
    for (size_t i = index.size(); i-- > 0 && ++index[i] == tensor.shape[i];) index[i] = 0;
  }
  return result;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  try {
    const trainyard::TensorFile file = trainyard::OpenWeights(argv[1]);
    std::vector<std::vector<std::byte>> kept;
    std::vector<NamedTensor> tensors = file.tensors;
    for (NamedTensor &tensor : tensors) {
      kept.push_back(Contiguous(tensor));
      tensor.data = kept.back();
      tensor.strides.clear();
    }
    trainyard::WriteSafetensors(argv[2], tensors, file.metadata);
    std::printf("format %s\nmodel_class %s\nstate_dict_key %s\n", file.format.c_str(), file.model_class.c_str(),
                file.state_dict_key.c_str());
    for (const std::string &key : file.other_keys) std::printf("other_key %s\n", key.c_str());
    std::printf("names");
    for (const NamedTensor &tensor : file.tensors) std::printf(" %s", tensor.name.c_str());
    std::printf("\n");
  } catch (const trainyard::Error &error) {
    std::printf("error %d %s\n", static_cast<int>(error.status()), error.what());
    return 1;
  }
  return 0;
}
