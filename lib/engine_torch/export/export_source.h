// What can be exported: a model that a training job wrote, a weight file of a known architecture, or a TorchScript
// archive, each as a function with named weights. Thread rule: one model on one thread at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "engine_torch/export/trace.h"
#include "engine_torch/train/opened_model.h"

namespace trainyard {

struct ExportSource {
  OpenedModel model;
  onnx::Forward forward;
  std::vector<std::pair<std::string, at::Tensor>> state;  // parameters and buffers by their names, on the CPU

  bool is_script() const { return model.script.has_value(); }
  // Of the model.json beside the file; null when there is none.
  const ModelDescription *description() const { return model.described ? &model.description : nullptr; }
};

// `path`: see OpenModel(). Throws what that throws, and kUnsupported for a TorchScript module that does not take one
// tensor.
ExportSource OpenExportSource(const std::string &path);

}  // namespace trainyard
