// Writes what torch.load(weights_only=True) reads: tensors in dicts and lists with plain values. Thread rule: free
// functions and values; two writers of one path do not mix, the last one wins.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine_torch/weights/tensor_file.h"
#include "engine_torch/weights/zip_writer.h"

namespace trainyard {

struct TorchValue;
using TorchList = std::vector<TorchValue>;

// A dict, or a collections.OrderedDict as Module.state_dict() gives.
struct TorchDict {
  TorchList items;  // key, value, key, value, ...
  bool ordered = false;

  void Set(TorchValue key, TorchValue value);
};

// A Python value; None by default. Tensors are pointed to, and must live until it is written.
struct TorchValue {
  TorchValue() = default;
  TorchValue(bool value) : held(value) {}
  TorchValue(int64_t value) : held(value) {}
  TorchValue(double value) : held(value) {}
  TorchValue(const char *value) : held(std::string(value)) {}
  TorchValue(std::string value) : held(std::move(value)) {}
  TorchValue(const NamedTensor *value) : held(value) {}
  TorchValue(TorchList value) : held(std::move(value)) {}
  TorchValue(TorchDict value) : held(std::move(value)) {}

  std::variant<std::monostate, bool, int64_t, double, std::string, const NamedTensor *, TorchList, TorchDict> held;
};

// What Module.load_state_dict() takes: the tensors by their names, in their order. Throws kInvalidArgument (a name
// twice).
TorchDict StateDictOf(std::span<const NamedTensor> tensors);

// Writes the file, synced, in place of `path` or not at all. Any strides are kept; tensors of one type whose bytes
// overlap share a storage, which is written once. The same input gives the same bytes. Throws kIo, kNoSpace,
// kPermission, kInvalidArgument (text that is no UTF-8, a tensor whose bytes do not fit its shape).
void WriteTorchFile(const std::filesystem::path &path, const TorchValue &value);

// The bytes of such a file. `path` is for messages.
void WriteTorchArchive(const TorchValue &value, const std::filesystem::path &path, const ByteSink &sink);

}  // namespace trainyard
