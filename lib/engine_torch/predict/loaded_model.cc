#include "engine_torch/predict/loaded_model.h"

#include <ATen/Functions.h>
#include <c10/core/InferenceMode.h>

#include "engine_torch/models/script_model.h"
#include "engine_torch/weights/torch_file.h"
#include "util/error.h"
#include "util/fs.h"

namespace trainyard {

LoadedModel::LoadedModel(const std::string &path, c10::Device device) : device_(device) {
  const std::string weights = WeightsPathOf(path);
  const std::string json = JoinPath(ParentPath(weights), kModelFile);
  const bool described = PathExists(json);
  if (described) description_ = ReadModelDescription(json);
  // What another file's description says of the architecture does not hold for this one.
  if (description_.weights != BaseName(weights)) description_.architecture.clear();
  description_.weights = BaseName(weights);
  if (IsTorchScript(weights)) {
    OpenScript(weights);
    SetClasses(ScriptClasses(weights), weights, described);
    script_->to(device_);
  } else {
    OpenNative(weights);
    SetClasses(native_->num_classes(), weights, described);
    native_->to(device_);
  }
}

void LoadedModel::OpenNative(const std::string &weights) {
  native_ = ReadModel(weights, description_);
  description_.architecture = native_->name();
  for (at::Tensor parameter : native_->parameters()) {
    if (parameter.dim() == 4) parameter.set_data(parameter.detach().contiguous(at::MemoryFormat::ChannelsLast));
    parameter.set_requires_grad(false);
  }
}

void LoadedModel::OpenScript(const std::string &weights) {
  script_ = LoadScript(weights);
  for (at::Tensor parameter : script_->parameters()) parameter.set_requires_grad(false);
}

// One image tells.
int64_t LoadedModel::ScriptClasses(const std::string &weights) const {
  const c10::InferenceMode guard;
  const int64_t side = description_.crop;
  try {
    return RunScript(*script_, at::zeros({1, 3, side, side})).size(1);
  } catch (const c10::OutOfMemoryError &) {
    throw;
  } catch (const std::exception &error) {
    const auto *c10_error = dynamic_cast<const c10::Error *>(&error);
    const std::string pixels = std::to_string(side);
    throw Error(Status::kUnsupported,
                "'" + weights + "' cannot classify an image of " + pixels + " x " + pixels +
                    " pixels: " + (c10_error != nullptr ? c10_error->what_without_backtrace() : error.what()) +
                    "; if it wants another size, say so in a model.json beside it (preprocessing)",
                {{"path", weights}});
  }
}

void LoadedModel::SetClasses(int64_t count, const std::string &weights, bool described) {
  if (!described) {
    for (int64_t i = 0; i < count; ++i) description_.classes.push_back(std::to_string(i));
  }
  if (static_cast<int64_t>(description_.classes.size()) == count) return;
  throw Error::InvalidArgument(
      "'" + weights + "' tells " + std::to_string(count) + " classes apart, and the model.json beside it names " +
          std::to_string(description_.classes.size()) + ": give it one of its own, or move it to another directory",
      {{"path", weights}});
}

at::Tensor LoadedModel::Logits(const at::Tensor &images) const {
  const at::Tensor there = images.to(device_);
  return script_ ? RunScript(*script_, there) : native_->forward(there);
}

}  // namespace trainyard
