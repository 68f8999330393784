// The safetensors format: the engine's own way to keep weights. Reading maps the file, writing is atomic. Thread rule:
// free functions, may run concurrently; two writers of one path do not mix, the last rename wins.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "engine_torch/weights/bytes.h"
#include "engine_torch/weights/tensor_file.h"

namespace trainyard {

// Parses bytes that `owner` keeps alive; `path` is used in messages only. Throws kCorrupt or kUnsupported.
TensorFile ParseSafetensors(Bytes bytes, const std::filesystem::path &path, std::shared_ptr<const void> owner);

// Writes contiguous tensors, synced, in place of `path` or not at all. The same input gives the same bytes. Throws kIo,
// kNoSpace, kPermission, kInvalidArgument (a tensor that is not contiguous, a name twice).
void WriteSafetensors(const std::filesystem::path &path, std::span<const NamedTensor> tensors,
                      const std::map<std::string, std::string> &metadata = {});

}  // namespace trainyard
