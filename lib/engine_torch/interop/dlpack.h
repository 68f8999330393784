// DLPack tensors (of the host, borrowed for one call) as LibTorch tensors, without a copy. Thread rule: a function.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "trainyard/dlpack.h"

namespace trainyard {

// A view of the host's memory; it must not be written to, nor outlive the call. `what` names it in errors ("input").
// Throws kInvalidArgument (no data, a negative size, a shape whose size overflows) or kUnsupported (type, device,
// negative strides).
at::Tensor ViewOfDlpack(const DLTensor &tensor, const std::string &what);

}  // namespace trainyard
