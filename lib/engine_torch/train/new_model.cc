#include "engine_torch/train/new_model.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <torch/nn/modules/batchnorm.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "engine_torch/models/registry.h"
#include "engine_torch/models/sequential.h"
#include "engine_torch/train/precision.h"
#include "util/error.h"

namespace trainyard {
namespace {

constexpr const char *kFlatten = "{\"type\":\"flatten\"}";

[[noreturn]] void Refuse(const char *key, const std::string &message) {
  throw Error::InvalidArgument("setting '" + std::string(key) + "' " + message, {{"key", key}});
}

// A network for images.
void CheckShape(const TrainSettings &settings, const std::vector<int64_t> &shape) {
  const Architecture &architecture = FindArchitecture(settings.architecture);
  if (shape.size() != 3 || shape[0] != 3) {
    Refuse("model.architecture", settings.architecture + " takes samples of shape [3, height, width], and these are " +
                                     ShapeText(shape) + ": set mlp or sequential, or reshape the inputs");
  }
  const int64_t side = architecture.image_size;
  if (side == 0 || (shape[1] == side && shape[2] == side)) return;
  Refuse("model.architecture", settings.architecture + " takes samples of shape " + ShapeText({3, side, side}) +
                                   " only, and these are " + ShapeText(shape));
}

}  // namespace

bool IsOfLayers(const TrainSettings &settings) {
  return settings.architecture == "mlp" || settings.architecture == "sequential";
}

std::string ShapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (const int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

int64_t OutputsOf(const Dataset &dataset) {
  return static_cast<int64_t>(dataset.classes().size());
}

std::string LayersOf(const TrainSettings &settings, int64_t outputs) {
  if (settings.architecture == "sequential") return settings.layers;
  if (settings.architecture != "mlp") return "";
  const std::vector<int64_t> widths(settings.hidden.begin(), settings.hidden.end());
  return DescribeMlp(widths, outputs, settings.activation);
}

std::shared_ptr<ImageClassifier> MakeNetwork(const TrainSettings &settings, int64_t inputs, int64_t outputs) {
  if (IsOfLayers(settings)) return MakeSequential(inputs, LayersOf(settings, outputs));
  return MakeModel(settings.architecture, outputs);
}

std::shared_ptr<ImageClassifier> NewModel(const TrainSettings &settings, const std::vector<int64_t> &sample_shape,
                                          int64_t outputs) {
  if (settings.arrays.empty()) {
    CheckCrop(FindArchitecture(settings.architecture), settings.crop);
    return MakeNetwork(settings, 0, outputs);
  }
  const int64_t inputs = std::accumulate(sample_shape.begin(), sample_shape.end(), int64_t{1}, std::multiplies<>());
  if (!IsOfLayers(settings)) CheckShape(settings, sample_shape);
  if (IsOfLayers(settings) && settings.inputs != 0 && settings.inputs != inputs) {
    Refuse("model.inputs", "is " + std::to_string(settings.inputs) + ", and a sample has " + std::to_string(inputs) +
                               " values: leave it at 0, which takes what the arrays have");
  }
  if (settings.architecture == "mlp" && settings.outputs != 1 && settings.outputs != outputs) {
    Refuse("model.outputs", "is " + std::to_string(settings.outputs) + ", and the targets ask for " +
                                std::to_string(outputs) + ": leave it at 1, which takes what they ask for");
  }
  std::shared_ptr<ImageClassifier> model = MakeNetwork(settings, inputs, outputs);
  if (model->num_classes() != outputs) {
    Refuse("model.layers", "ends with " + std::to_string(model->num_classes()) + " outputs, and the targets ask for " +
                               std::to_string(outputs));
  }
  const at::Tensor answer = CheckSample(model.get(), settings, at::zeros(sample_shape).unsqueeze(0));
  if (answer.dim() != 2) {
    Refuse("model.layers", "makes " + ShapeText(answer.sizes().slice(1).vec()) + " of a sample of shape " +
                               ShapeText(sample_shape) + ", and a row of outputs is wanted: begin with " + kFlatten);
  }
  model->train();
  return model;
}

void CheckSteps(const ImageClassifier &model, const TrainSettings &settings, int64_t samples) {
  bool over_rows = false;
  for (const auto &module : model.modules()) over_rows |= module->as<torch::nn::BatchNorm1d>() != nullptr;
  if (!over_rows || settings.sync_batch_norm) return;
  const int64_t last = samples % settings.batch_size;
  for (const int64_t step : {std::min(samples, settings.batch_size), last}) {
    const int64_t part = settings.micro_batch_size > 0 ? step % settings.micro_batch_size : step;
    if (part != 1 && !(step > 0 && settings.micro_batch_size == 1)) continue;
    Refuse("train.batch_size", "leaves a step of an epoch with one sample (" + std::to_string(samples) +
                                   " samples in steps of " + std::to_string(settings.batch_size) +
                                   "), and batch_norm needs two: change it");
  }
}

at::Tensor CheckSample(ImageClassifier *model, const TrainSettings &settings, const at::Tensor &sample) {
  const c10::NoGradGuard no_grad;
  const Autocast autocast(settings.precision, sample.device().type());
  model->eval();
  try {
    return model->forward(sample);
  } catch (const c10::OutOfMemoryError &) {
    throw;
  } catch (const c10::Error &error) {
    const std::string text = error.what_without_backtrace();
    const std::vector<int64_t> shape = sample.sizes().slice(1).vec();
    const bool flatten = settings.architecture == "sequential" && shape.size() > 1;
    throw Error::InvalidArgument("samples of shape " + ShapeText(shape) + " do not go through the model '" +
                                 settings.architecture + "': " + text.substr(0, text.find('\n')) +
                                 (flatten ? std::string("; does model.layers begin with ") + kFlatten + "?" : ""));
  }
}

}  // namespace trainyard
