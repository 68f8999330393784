// What Python's torch.save writes: a state dict, a checkpoint that holds one, or a whole module; in the zip format
// (PyTorch 1.6 and newer) or the legacy one; and the parameters and buffers of what torch.jit.save writes, which is a
// zip file of the same kind. Nothing of the file is executed. Thread rule: free functions, a value.
#pragma once

#include <filesystem>
#include <memory>

#include "engine_torch/weights/bytes.h"
#include "engine_torch/weights/tensor_file.h"

namespace trainyard {

// Parse bytes that `owner` keeps alive; `path` is used in messages only. Throw kCorrupt or kUnsupported.
TensorFile ParseTorchZip(Bytes bytes, const std::filesystem::path &path, std::shared_ptr<const void> owner);
TensorFile ParseTorchLegacy(Bytes bytes, const std::filesystem::path &path, std::shared_ptr<const void> owner);

// Whether the file is a TorchScript archive (torch.jit.save). Throws as OpenWeights() does for what cannot be read and
// for damaged archives.
bool IsTorchScript(const std::filesystem::path &path);

}  // namespace trainyard
