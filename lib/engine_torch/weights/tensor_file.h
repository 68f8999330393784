// What every reader of weights and arrays yields: named tensors that point into the file, and the file kept alive. No
// LibTorch here, so that the readers can be fuzzed and run under sanitizers. Thread rule: a value; immutable once
// returned, may be read from many threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trainyard {

enum class DType {
  kFloat64,
  kFloat32,
  kFloat16,
  kBFloat16,
  kInt64,
  kInt32,
  kInt16,
  kInt8,
  kUInt64,
  kUInt32,
  kUInt16,
  kUInt8,
  kBool
};

// Bytes of one element.
size_t SizeOf(DType dtype);
// The name PyTorch gives it: "float32".
const char *NameOf(DType dtype);

struct NamedTensor {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
  // In elements, never negative; empty = contiguous in row-major order.
  std::vector<int64_t> strides;
  // From the first element to the end of the last one that shape and strides reach (the readers checked it). May be
  // unaligned: only copy bytes out of it, or check the address first.
  std::span<const std::byte> data;

  // The product of the shape; the readers checked that it fits.
  int64_t ElementCount() const;
  bool IsContiguous() const;
};

// The number of elements from the first to the last one that shape and strides reach, 0 for an empty tensor. False when
// no file can hold that many.
bool ReachOf(const NamedTensor &tensor, uint64_t *reach);

// The elements in row-major order.
std::vector<std::byte> ContiguousBytes(const NamedTensor &tensor);

struct TensorFile {
  std::filesystem::path path;
  std::string format;                           // "safetensors", "torch zip", "torch legacy", "torchscript"
  std::vector<NamedTensor> tensors;             // in the order of the file
  std::map<std::string, std::string> metadata;  // safetensors' __metadata__; empty elsewhere
  std::string model_class;                      // whole modules: "torchvision.models.resnet.ResNet"
  std::string state_dict_key;                   // checkpoints: the key the state dict was found under
  std::vector<std::string> other_keys;          // checkpoints: further keys that hold tensors and were not used
  std::shared_ptr<const void> owner;            // what the data spans point into

  // Null when there is no such tensor. Linear: build an index for many lookups.
  const NamedTensor *Find(const std::string &name) const;
};

// Opens a .safetensors file, what torch.save wrote (state dict, checkpoint or whole module; zip or legacy format) or
// the parameters and buffers of what torch.jit.save wrote. The reader is chosen by content, never by the file's name,
// and executes nothing. Throws kNotFound, kPermission, kIo,
// kCorrupt (truncated: details expected_bytes and present_bytes), kUnsupported (another kind of file, named).
TensorFile OpenWeights(const std::filesystem::path &path);

}  // namespace trainyard
