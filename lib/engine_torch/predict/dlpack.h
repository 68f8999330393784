// DLPack tensors (of the host, borrowed for one call) as LibTorch tensors, without a copy. Thread rule: a function.
#pragma once

#include <ATen/core/Tensor.h>

#include "trainyard/dlpack.h"

namespace trainyard {

// A view of the host's memory; it must not be written to, nor outlive the call. Throws kInvalidArgument (no data, a
// negative size, a shape whose size overflows) or kUnsupported (type, device, negative strides).
at::Tensor ViewOfDlpack(const DLTensor &input);

}  // namespace trainyard
