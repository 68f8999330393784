// The names that a file written by torch.save may import. None is ever imported: the list exists so that a file that
// wants anything else is refused by name. Thread rule: free functions, constant data.
#pragma once

#include <optional>
#include <string_view>

#include "engine_torch/weights/pickle.h"
#include "engine_torch/weights/tensor_file.h"

namespace trainyard {

// kAllow for PyTorch's own; kRefuse for modules that reach the system; kUnknown for the rest (a user's nn.Module class
// in a whole pickled module is fine as long as it is used as one).
GlobalVerdict TorchGlobalVerdict(std::string_view module, std::string_view name);

// As above for the object of a TorchScript archive: its classes ("__torch__.<class>") and the typed lists of
// torch.jit._pickle are allowed too.
GlobalVerdict ScriptGlobalVerdict(std::string_view module, std::string_view name);

// The element type of "torch.FloatStorage", "torch.cuda.FloatStorage" or "torch.float32"; UntypedStorage gives uint8.
// Nothing for other names and for types the engine does not read.
std::optional<DType> DTypeOfStorage(std::string_view global);
std::optional<DType> DTypeOfName(std::string_view global);
// "FloatStorage" in the module torch.
std::string_view StorageOf(DType dtype);

}  // namespace trainyard
