#include "engine_torch/predict/loaded_model.h"

#include <ATen/Functions.h>
#include <c10/core/InferenceMode.h>

#include "engine_torch/models/script_model.h"
#include "util/error.h"

namespace trainyard {

LoadedModel::LoadedModel(const std::string &path, c10::Device device) : model_(OpenModel(path)), device_(device) {
  if (model_.script) {
    SetClasses(ScriptClasses());
    model_.script->to(device_);
  } else {
    for (at::Tensor parameter : model_.native->parameters()) {
      if (parameter.dim() == 4) parameter.set_data(parameter.detach().contiguous(at::MemoryFormat::ChannelsLast));
    }
    SetClasses(model_.native->num_classes());
    model_.native->to(device_);
  }
}

// One image tells.
int64_t LoadedModel::ScriptClasses() const {
  const c10::InferenceMode guard;
  const int64_t side = description().crop;
  std::vector<int64_t> shape = {3, side, side};
  if (description().of_arrays()) shape = description().sample_shape;
  try {
    return RunScript(*model_.script, at::zeros(shape).unsqueeze(0)).size(1);
  } catch (const c10::OutOfMemoryError &) {
    throw;
  } catch (const std::exception &error) {
    const auto *c10_error = dynamic_cast<const c10::Error *>(&error);
    const std::string pixels = std::to_string(side);
    const std::string what = description().of_arrays() ? "take a sample of the shape that model.json says"
                                                       : "classify an image of " + pixels + " x " + pixels + " pixels";
    throw Error(Status::kUnsupported,
                "'" + model_.weights + "' cannot " + what + ": " +
                    (c10_error != nullptr ? c10_error->what_without_backtrace() : error.what()) +
                    "; if it wants another size, say so in a model.json beside it (preprocessing)",
                {{"path", model_.weights}});
  }
}

void LoadedModel::SetClasses(int64_t count) {
  model_.CheckClasses(count);
  if (model_.described) return;
  for (int64_t i = 0; i < count; ++i) model_.description.classes.push_back(std::to_string(i));
}

at::Tensor LoadedModel::Logits(const at::Tensor &images) const {
  const at::Tensor there = images.to(device_);
  return model_.script ? RunScript(*model_.script, there) : model_.native->forward(there);
}

}  // namespace trainyard
