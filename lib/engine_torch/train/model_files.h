// The two files a training job leaves: model.safetensors (torchvision's and torch.nn's names, readable by Python) and
// model.json (what is needed to use it). A model.json may also be written by hand for weights from elsewhere. Thread
// rule: functions and values.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine_torch/models/classifier.h"
#include "engine_torch/train/task.h"

namespace trainyard {

inline constexpr const char *kModelFile = "model.json";
inline constexpr const char *kWeightsFile = "model.safetensors";

struct ModelDescription {
  Task task = Task::kClassification;
  std::string architecture;            // empty: to be told by the weights
  std::string weights = kWeightsFile;  // a file beside model.json
  std::vector<std::string> classes;
  int resize = 256;
  int crop = 224;
  std::array<float, 3> mean = {0.485f, 0.456f, 0.406f};
  std::array<float, 3> std = {0.229f, 0.224f, 0.225f};
  // Of models for arrays (empty: for images): one sample's shape; whether bytes become (x / 255 - mean) / std; and the
  // layers of mlp and sequential, as model.layers has them.
  std::vector<int64_t> sample_shape;
  bool normalises_bytes = false;
  std::string layers;
  // How it was trained; for people.
  int64_t epochs = 0;
  int64_t best_epoch = 0;
  double best_val_accuracy = 0;  // not of numbers
  double best_val_loss = 0;      // not of classes
  uint64_t seed = 0;
  std::string mode;
  bool stopped = false;

  bool of_arrays() const { return !sample_shape.empty(); }
};

// Both files, each in place or not at all, the weights first: a model.json always has its weights.
void WriteModel(const std::string &directory, const ModelDescription &description, const ImageClassifier &model);

// `path` is the directory, or either of the files. Throws kNotFound, kCorrupt (no such JSON), kVersion (written by a
// newer library), kUnsupported (another task).
ModelDescription ReadModelDescription(const std::string &path);

// The weight file of the model at `path`: the one that model.json names for a directory or model.json itself; the only
// file of a directory without one; else `path`. Throws as ReadModelDescription().
std::string WeightsPathOf(const std::string &path);

// The model with its weights, the file that the description names beside `path`, on the CPU, in evaluation mode. Throws
// what reading weights throws.
std::shared_ptr<ImageClassifier> ReadModel(const std::string &path, const ModelDescription &description);

}  // namespace trainyard
