// What Python's torch.save writes: a state dict, a checkpoint that holds one, or a whole module; in the zip format
// (PyTorch 1.6 and newer) or the legacy one. Nothing of the file is executed. Thread rule: free functions, a value.
#pragma once

#include <filesystem>
#include <memory>

#include "engine_torch/weights/bytes.h"
#include "engine_torch/weights/tensor_file.h"

namespace trainyard {

// Parse bytes that `owner` keeps alive; `path` is used in messages only. Throw kCorrupt or kUnsupported.
TensorFile ParseTorchZip(Bytes bytes, const std::filesystem::path &path, std::shared_ptr<const void> owner);
TensorFile ParseTorchLegacy(Bytes bytes, const std::filesystem::path &path, std::shared_ptr<const void> owner);

// Whether it is what torch.jit.save writes: a program with weights. Throws what reading the file and its directory
// throws.
bool IsTorchScript(const std::filesystem::path &path);

}  // namespace trainyard
