// Whatever file a user names as a model, opened: the one way in for prediction and export. (Exports of weights alone
// need no model: they go by WeightsPathOf().) Thread rule: as the model's; one thread at a time.
#pragma once

#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <optional>
#include <string>

#include "engine_torch/models/classifier.h"
#include "engine_torch/train/model_files.h"

namespace trainyard {

struct OpenedModel {
  std::string weights;     // the file that it came from
  bool described = false;  // a model.json lies beside it
  // That of the model.json, or as torchvision's pretrained models want it, without classes. The architecture is the
  // native model's; of TorchScript what a model.json of its own says.
  ModelDescription description;
  std::shared_ptr<ImageClassifier> native;  // one of the two; on the CPU, in evaluation mode, without gradients
  std::optional<torch::jit::Module> script;

  // Throws kInvalidArgument when the model.json beside the file names another number of classes.
  void CheckClasses(int64_t count) const;
};

// `path` is one of
// - a directory with a model.json, or that file: the model that it describes; a directory with one other file: that;
// - a TorchScript archive: its code runs, so it must be trusted;
// - a weight file (safetensors, or a state dict, checkpoint or whole module of torch.save) of a native model, which is
//   told by the names and shapes.
// A model.json beside a file gives its classes and preprocessing. Throws what reading these throws.
OpenedModel OpenModel(const std::string &path);

}  // namespace trainyard
