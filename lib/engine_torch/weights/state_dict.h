// From the pickled object of a torch.save file to its tensors: finds the state dict in a checkpoint, walks whole
// modules, resolves tensors to their storages with every bound checked. Thread rule: free functions.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "engine_torch/weights/bytes.h"
#include "engine_torch/weights/pickle.h"
#include "engine_torch/weights/tensor_file.h"

namespace trainyard {

using StorageMap = std::map<std::string, Bytes>;  // storage key -> its elements

// A name outside the allow-list is fine only as the class of an nn.Module in a whole pickled module; throws
// RefusedGlobal() otherwise.
void CheckUnknownGlobals(const PickleDocument &document, const std::filesystem::path &path);

// The element type of every storage that the object refers to.
std::map<std::string, DType> StorageTypes(const PickleDocument &document, const std::filesystem::path &path);

// Fills tensors, model_class, state_dict_key and other_keys of `file`, whose path is set. The keys "state_dict",
// "model_state_dict", "model", "net" and "module" are tried first, in this order; `module.` (DistributedDataParallel)
// and `_orig_mod.` (torch.compile) are taken off when every name has them.
void CollectTensors(const PickleDocument &document, const StorageMap &storages, TensorFile *file);

// As above for the module of a TorchScript archive.
void CollectScriptTensors(const PickleDocument &document, const StorageMap &storages, TensorFile *file);

}  // namespace trainyard
