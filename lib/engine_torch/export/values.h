// What the values of a trace have become while it is lowered. A value.
#pragma once

#include <ATen/core/ivalue.h>
#include <torch/csrc/jit/ir/ir.h>

#include <string>
#include <unordered_map>

namespace trainyard::onnx {

struct Values {
  std::unordered_map<const torch::jit::Value *, c10::IValue> constants;
  std::unordered_map<const torch::jit::Value *, std::string> names;  // tensors in the ONNX graph
};

}  // namespace trainyard::onnx
