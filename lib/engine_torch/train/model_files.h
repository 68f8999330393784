// The two files a training job leaves: model.safetensors (torchvision's names, readable by Python) and model.json (what
// is needed to use it). Thread rule: functions and values.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine_torch/models/classifier.h"

namespace trainyard {

inline constexpr const char *kModelFile = "model.json";
inline constexpr const char *kWeightsFile = "model.safetensors";

struct ModelDescription {
  std::string architecture;
  std::vector<std::string> classes;
  int resize = 256;
  int crop = 224;
  std::array<float, 3> mean = {};
  std::array<float, 3> std = {};
  // How it was trained; for people.
  int64_t epochs = 0;
  int64_t best_epoch = 0;
  double best_val_accuracy = 0;
  uint64_t seed = 0;
  std::string mode;
  bool stopped = false;
};

// Both files, each in place or not at all, the weights first: a model.json always has its weights.
void WriteModel(const std::string &directory, const ModelDescription &description, const ImageClassifier &model);

// `path` is the directory, or either of the files. Throws kNotFound, kCorrupt (no such JSON), kVersion (written by a
// newer library), kUnsupported (another task).
ModelDescription ReadModelDescription(const std::string &path);

// The model with its weights, on the CPU, in evaluation mode. Throws what reading weights throws.
std::shared_ptr<ImageClassifier> ReadModel(const std::string &path, const ModelDescription &description);

}  // namespace trainyard
