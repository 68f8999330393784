#include "engine_torch/train/opened_model.h"

#include "engine_torch/models/script_model.h"
#include "engine_torch/weights/torch_file.h"
#include "util/error.h"
#include "util/fs.h"

namespace trainyard {

void OpenedModel::CheckClasses(int64_t count) const {
  if (!described || static_cast<int64_t>(description.classes.size()) == count) return;
  throw Error::InvalidArgument(
      "'" + weights + "' tells " + std::to_string(count) + " classes apart, and the model.json beside it names " +
          std::to_string(description.classes.size()) + ": give it one of its own, or move it to another directory",
      {{"path", weights}});
}

OpenedModel OpenModel(const std::string &path) {
  OpenedModel model;
  model.weights = WeightsPathOf(path);
  const std::string json = JoinPath(ParentPath(model.weights), kModelFile);
  model.described = PathExists(json);
  if (model.described) model.description = ReadModelDescription(json);
  // What another file's description says of the architecture does not hold for this one.
  if (model.description.weights != BaseName(model.weights)) {
    model.description.architecture.clear();
    model.description.layers.clear();
  }
  model.description.weights = BaseName(model.weights);
  if (IsTorchScript(model.weights)) {
    model.script = LoadScript(model.weights);
    for (at::Tensor parameter : model.script->parameters()) parameter.set_requires_grad(false);
  } else {
    model.native = ReadModel(model.weights, model.description);
    if (model.description.layers.empty()) model.description.architecture = model.native->name();
    for (at::Tensor parameter : model.native->parameters()) parameter.set_requires_grad(false);
  }
  return model;
}

}  // namespace trainyard
