// The export of a model as an ONNX file: options, what is put around the model, and the facts that go with it. Thread
// rule: functions; exports may run concurrently. Nothing LibTorch-wide is changed.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine_torch/export/export_source.h"

namespace trainyard {

// include/trainyard/export.h says what each is.
struct OnnxOptions {
  int64_t opset = 17;
  bool dynamic_batch = true;
  int64_t batch_size = 1;
  bool preprocessing = false;
  bool softmax = false;
  std::vector<int64_t> input_shape;  // empty: as the model says
  at::ScalarType input_type = at::kFloat;
  std::optional<std::array<float, 3>> mean, std;
  std::vector<std::string> classes;

  // Throws kInvalidArgument naming the key, and the nearest known one; kUnsupported for another opset.
  static OnnxOptions Parse(std::string_view json);
};

// Writes the file whole or not at all. Returns the operators of PyTorch that it was translated from: "aten::relu".
// Throws kUnsupported (what the model does cannot be exported), kInvalidArgument (options that do not fit the model),
// and what writing throws.
std::set<std::string> ExportOnnx(const ExportSource &source, const OnnxOptions &options, const std::string &path);

}  // namespace trainyard
