// A model ready to run, from whatever file it came. Thread rule: const functions may run concurrently.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <optional>
#include <string>

#include "engine_torch/models/classifier.h"
#include "engine_torch/train/model_files.h"

namespace trainyard {

class LoadedModel {
 public:
  // `path` is one of
  // - a directory with a model.json, or that file: the model that it describes; a directory with one other file: that;
  // - a TorchScript archive: its code runs, so it must be trusted;
  // - a weight file (safetensors, or a state dict, checkpoint or whole module of torch.save) of a native model, which
  // is
  //   told by the names and shapes.
  // A model.json beside a file gives its classes and preprocessing. Without one the classes are called "0", "1", ...
  // and images are prepared as torchvision's pretrained models want them. Throws what reading these throws;
  // kInvalidArgument when the number of classes is not that of model.json.
  LoadedModel(const std::string &path, c10::Device device);

  const ModelDescription &description() const { return description_; }
  // images: [n, 3, height, width] float, normalised, on any device. Returns [n, classes] on the model's device.
  at::Tensor Logits(const at::Tensor &images) const;

 private:
  void OpenNative(const std::string &weights);
  void OpenScript(const std::string &weights);
  int64_t ScriptClasses(const std::string &weights) const;
  void SetClasses(int64_t count, const std::string &weights, bool described);

  ModelDescription description_;
  c10::Device device_;
  std::shared_ptr<ImageClassifier> native_;  // one of the two
  std::optional<torch::jit::Module> script_;
};

}  // namespace trainyard
