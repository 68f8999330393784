// A model ready to run, from whatever file it came. Thread rule: const functions may run concurrently.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <string>

#include "engine_torch/train/opened_model.h"

namespace trainyard {

class LoadedModel {
 public:
  // `path`: see OpenModel(). Without a model.json beside it the classes are called "0", "1", ... and images are
  // prepared as torchvision's pretrained models want them. Throws what OpenModel() throws; kInvalidArgument when the
  // number of classes is not that of model.json.
  LoadedModel(const std::string &path, c10::Device device);

  const ModelDescription &description() const { return model_.description; }
  // images: [n, 3, height, width] float, normalised, on any device. Returns [n, classes] on the model's device.
  at::Tensor Logits(const at::Tensor &images) const;

 private:
  int64_t ScriptClasses() const;
  void SetClasses(int64_t count);

  OpenedModel model_;
  c10::Device device_;
};

}  // namespace trainyard
