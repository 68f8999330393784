// What can be exported: a model that a training job wrote, a weight file of a known architecture, or a TorchScript
// archive, each as a function with named weights. Thread rule: one model on one thread at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine_torch/export/trace.h"
#include "engine_torch/train/model_files.h"

namespace trainyard {

struct ExportSource {
  onnx::Forward forward;
  std::vector<std::pair<std::string, at::Tensor>> state;  // parameters and buffers by their names, on the CPU
  bool is_script = false;
  std::string architecture;                     // empty for TorchScript
  std::optional<ModelDescription> description;  // of what a training job wrote
};

// `path`: a directory with model.json and model.safetensors, or either file; a .safetensors file or what torch.save
// wrote of an architecture that the library knows (a state dict, a checkpoint, a whole module); or what torch.jit.save
// wrote. A TorchScript archive is a program: its code runs. Throws what reading models and weights throws, and
// kUnsupported for weights of an architecture that is not known.
ExportSource OpenExportSource(const std::string &path);

}  // namespace trainyard
