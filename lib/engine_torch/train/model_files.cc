#include "engine_torch/train/model_files.h"

#include <charconv>

#include "engine_torch/models/load.h"
#include "engine_torch/models/registry.h"
#include "engine_torch/models/sequential.h"
#include "engine_torch/train/model_json.h"
#include "util/build_id.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

// model.json
//   1. "schema_version": 1. A reader refuses a higher number; additions that may be ignored do not raise it
//   2. "task": "image_classification" (outputs are logits of classes), "image_multilabel" (a logit for each label) or
//   "image_regression" (numbers); of models for arrays "array_classification", "array_multilabel", "array_regression"
//   3. "architecture": a name of the table of models ("squeezenet1_1"); absent: to be told by the weights. For arrays
//      also "mlp" and "sequential", with "layers": the list that model.layers is
//   4. "weights": the name of a file beside this one, "model.safetensors" when absent
//   5. "classes": the names of classes, labels or numbers, by index of the output
//   6. "preprocessing": {"resize": shorter side in pixels, bilinear with antialiasing, "crop": side of the centre
//   square,
//      "mean": 3 numbers, "std": 3 numbers}; pixels are red, green, blue in 0..1 before (x - mean) / std. Absent: as
//      torchvision's pretrained models want it. Of models for arrays "input" in its place: {"shape": of one sample;
//      where bytes are images, "mean" and "std"}
//   7. "trained": {"epochs": done, "best_epoch": from 1, "best_val_accuracy" (not of regression), "best_val_loss" (not
//   of classification), "seed", "mode": "finetune"|"feature", "stopped": true when it
//      was asked to end early}
//   8. "library": the build that wrote it

namespace trainyard {
namespace {

constexpr int64_t kSchemaVersion = 1;
constexpr int64_t kMostValues = int64_t{1} << 32;  // of a sample

// As many digits as a float has: 0.485, not 0.48500001430511475.
double Shortest(float value) {
  std::array<char, 64> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  double number = value;
  std::from_chars(text.data(), end, number);
  return number;
}

Json NumberList(const std::array<float, 3> &values) {
  Json list = Json::Array();
  for (const float value : values) list.Append(Shortest(value));
  return list;
}

std::array<float, 3> Channels(const Json &json, std::string_view key) {
  const std::vector<double> values = json.Get(key).AsDoubleList();
  if (values.size() != 3) throw Error::Corrupt("'" + std::string(key) + "' must have 3 numbers");
  return {static_cast<float>(values[0]), static_cast<float>(values[1]), static_cast<float>(values[2])};
}

std::string DirectoryOf(const std::string &path) {
  return IsDirectory(path) ? path : ParentPath(path);
}

Task ParseTask(const std::string &name) {
  std::vector<std::string> names;
  for (const bool arrays : {false, true}) {
    for (const Task task : {Task::kClassification, Task::kMultilabel, Task::kRegression}) {
      if (name == ModelTask(task, arrays)) return task;
      names.emplace_back(ModelTask(task, arrays));
    }
  }
  throw Error(Status::kUnsupported, "task '" + name + "' is not known here: known are " + Join(names, ", "));
}

// Of models for arrays.
void ReadInput(const Json &json, ModelDescription *out) {
  const Json input = json.Get("input");
  for (const Json &size : input.Get("shape").Items()) out->sample_shape.push_back(size.AsInt64(1, kMostValues));
  int64_t values = 1;
  for (const int64_t size : out->sample_shape) {
    if (__builtin_mul_overflow(values, size, &values) || values > kMostValues) {
      throw Error::Corrupt("'input.shape' is of more values than a sample can have");
    }
  }
  if (out->sample_shape.empty()) throw Error::Corrupt("'input.shape' names no size");
  if (input.Has("mean")) {
    if (out->sample_shape.size() != 3 || out->sample_shape[0] != 3) {
      throw Error::Corrupt("'input.mean' is for images, of the shape [3, height, width]");
    }
    out->mean = Channels(input, "mean");
    out->std = Channels(input, "std");
    out->normalises_bytes = true;
  }
  if (const auto layers = json.Find("layers")) out->layers = layers->Dump();
}

ModelDescription Parse(const Json &json) {
  const int64_t version = json.GetInt64("schema_version");
  if (version > kSchemaVersion) {
    throw Error(Status::kVersion, "written by a newer trainyard (schema_version " + std::to_string(version) +
                                      ", this one reads up to " + std::to_string(kSchemaVersion) +
                                      "): update trainyard");
  }
  ModelDescription out;
  const std::string task = json.GetString("task");
  out.task = ParseTask(task);
  out.architecture = json.GetString("architecture", "");
  out.weights = json.GetString("weights", kWeightsFile);
  if (!IsSafeRelativePath(out.weights) || BaseName(out.weights) != out.weights)
    throw Error::Corrupt("'weights' must be the name of a file beside it, not '" + out.weights + "'");
  out.classes = json.GetStringList("classes");
  if (out.classes.empty()) throw Error::Corrupt("it names no classes");
  if (const auto preprocessing = json.Find("preprocessing")) {
    out.resize = static_cast<int>(preprocessing->Get("resize").AsInt64(1, 16384));
    out.crop = static_cast<int>(preprocessing->Get("crop").AsInt64(1, 16384));
    out.mean = Channels(*preprocessing, "mean");
    out.std = Channels(*preprocessing, "std");
  }
  if (task == ModelTask(out.task, /*arrays=*/true)) ReadInput(json, &out);
  if (const auto trained = json.Find("trained")) {
    out.epochs = trained->GetInt64("epochs", 0);
    out.best_epoch = trained->GetInt64("best_epoch", 0);
    out.best_val_accuracy = trained->GetDouble("best_val_accuracy", 0);
    out.best_val_loss = trained->GetDouble("best_val_loss", 0);
    out.seed = static_cast<uint64_t>(trained->GetInt64("seed", 0));
    out.mode = trained->GetString("mode", "");
    out.stopped = trained->GetBool("stopped", false);
  }
  return out;
}

}  // namespace

Json InputJson(const ModelDescription &description) {
  Json shape = Json::Array();
  for (const int64_t size : description.sample_shape) shape.Append(size);
  Json input = Json::Object();
  input.Set("shape", shape);
  if (description.normalises_bytes) {
    input.Set("mean", NumberList(description.mean)).Set("std", NumberList(description.std));
  }
  return input;
}

Json PreprocessingJson(const ModelDescription &description) {
  Json preprocessing = Json::Object();
  preprocessing.Set("resize", description.resize).Set("crop", description.crop);
  preprocessing.Set("mean", NumberList(description.mean)).Set("std", NumberList(description.std));
  return preprocessing;
}

void WriteModel(const std::string &directory, const ModelDescription &description, const ImageClassifier &model) {
  SaveWeights(model, JoinPath(directory, kWeightsFile), {{"format", "pt"}, {"architecture", description.architecture}});
  Json trained = Json::Object();
  trained.Set("epochs", description.epochs).Set("best_epoch", description.best_epoch);
  if (description.task != Task::kRegression) trained.Set("best_val_accuracy", description.best_val_accuracy);
  if (description.task != Task::kClassification) trained.Set("best_val_loss", description.best_val_loss);
  trained.Set("seed", description.seed).Set("mode", description.mode).Set("stopped", description.stopped);
  Json json = Json::Object();
  json.Set("schema_version", kSchemaVersion).Set("task", ModelTask(description.task, description.of_arrays()));
  json.Set("architecture", description.architecture);
  if (!description.layers.empty()) json.Set("layers", Json::Parse(description.layers, "model.layers"));
  json.Set("weights", kWeightsFile).Set("classes", Json(description.classes));
  if (description.of_arrays()) {
    json.Set("input", InputJson(description));
  } else {
    json.Set("preprocessing", PreprocessingJson(description));
  }
  json.Set("trained", trained).Set("library", std::string("trainyard ") + BuildId());
  WriteFileAtomic(JoinPath(directory, kModelFile), json.DumpPretty(), 0644);
}

ModelDescription ReadModelDescription(const std::string &path) {
  const std::string file = JoinPath(DirectoryOf(path), kModelFile);
  if (!PathExists(path))
    throw Error::NotFound("no model at '" + path + "': there is no such file or directory", {{"path", path}});
  if (!PathExists(file)) {
    throw Error::NotFound(
        "no model at '" + path +
            "': it needs model.json and model.safetensors, as a training job writes them; for other models give the "
            "weight file or TorchScript archive itself",
        {{"path", file}});
  }
  try {
    return Parse(Json::Parse(ReadFile(file, uint64_t{64} << 20), file));
  } catch (const Error &error) {
    const Status status = error.status() == Status::kInvalidArgument ? Status::kCorrupt : error.status();
    const std::string what = error.what();
    throw Error(status, what.find(file) == std::string::npos ? "'" + file + "': " + what : what, {{"path", file}});
  }
}

std::string WeightsPathOf(const std::string &path) {
  if (IsDirectory(path) && !PathExists(JoinPath(path, kModelFile))) {
    const std::vector<DirEntry> entries = ListDir(path);
    const std::string only = entries.size() == 1 ? JoinPath(path, entries.front().name) : "";
    if (!only.empty() && !IsDirectory(only)) return only;
  }
  const bool described = IsDirectory(path) || BaseName(path) == kModelFile || !PathExists(path);
  return described ? JoinPath(DirectoryOf(path), ReadModelDescription(path).weights) : path;
}

std::shared_ptr<ImageClassifier> ReadModel(const std::string &path, const ModelDescription &description) {
  const TensorFile file = OpenWeights(JoinPath(DirectoryOf(path), description.weights));
  std::shared_ptr<ImageClassifier> model;
  if (!description.layers.empty()) {
    int64_t inputs = 1;
    for (const int64_t size : description.sample_shape) inputs *= size;
    model = MakeSequential(inputs, description.layers);
    LoadWeights(model.get(), file);
  } else if (description.architecture.empty()) {
    model = ModelOf(file);
  } else {
    model = MakeModel(description.architecture, static_cast<int64_t>(description.classes.size()));
    LoadWeights(model.get(), file);
  }
  model->eval();
  return model;
}

}  // namespace trainyard
