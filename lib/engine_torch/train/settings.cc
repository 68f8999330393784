#include "engine_torch/train/settings.h"

#include <cmath>
#include <limits>

#include "util/error.h"
#include "util/fs.h"
#include "util/json.h"

namespace trainyard {
namespace {

// One of two (or more) words, as the index into `words`.
template <typename Enum, size_t N>
Enum Choice(const Json &json, std::string_view key, const std::array<const char *, N> &words) {
  const std::string value = json.GetString(key);
  std::string list;
  for (size_t i = 0; i < N; ++i) {
    if (value == words[i]) return static_cast<Enum>(i);
    list += (i == 0 ? "" : ", ") + std::string(words[i]);
  }
  throw Error::InvalidArgument("setting '" + json.path() + "." + std::string(key) + "' must be one of " + list +
                               "; got '" + value + "'");
}

int64_t Integer(const Json &json, std::string_view key, int64_t minimum,
                int64_t maximum = std::numeric_limits<int64_t>::max()) {
  return json.Get(key).AsInt64(minimum, maximum);
}

std::array<float, 3> Channels(const Json &json, std::string_view key) {
  const std::vector<double> values = json.Get(key).AsDoubleList();
  if (values.size() != 3) {
    throw Error::InvalidArgument("setting '" + json.path() + "." + std::string(key) +
                                 "' needs 3 numbers (red, green, blue), got " + std::to_string(values.size()));
  }
  return {static_cast<float>(values[0]), static_cast<float>(values[1]), static_cast<float>(values[2])};
}

void ReadData(const Json &data, TrainSettings *out) {
  const std::string directory = data.GetString("directory", "");
  out->train_directory = data.GetString("train_directory", "");
  out->validation_directory = data.GetString("validation_directory", "");
  if (!directory.empty()) {
    if (out->train_directory.empty()) out->train_directory = JoinPath(directory, "train");
    if (out->validation_directory.empty()) {
      out->validation_directory = JoinPath(directory, "val");
      const std::string other = JoinPath(directory, "validation");
      if (!PathExists(out->validation_directory) && PathExists(other)) out->validation_directory = other;
    }
  }
  if (out->train_directory.empty() || out->validation_directory.empty()) {
    throw Error::InvalidArgument(
        "no images to train on: set data.directory (with folders train and val), or data.train_directory and "
        "data.validation_directory");
  }
  out->bad_images = Choice<BadImages, 2>(data, "bad_images", {"skip", "fail"});
  out->workers = static_cast<int>(Integer(data, "workers", 0, 1024));
  out->cache = Choice<PixelCache, 3>(data, "cache", {"auto", "memory", "none"});
}

void ReadTransform(const Json &transform, TrainSettings *out) {
  out->resize = static_cast<int>(Integer(transform, "resize", 1, 8192));
  out->crop = static_cast<int>(Integer(transform, "crop", 1, 8192));
  out->augment = transform.GetBool("augment");
  out->scale_minimum = transform.GetDouble("scale_minimum");
  out->mean = Channels(transform, "mean");
  out->std = Channels(transform, "std");
}

void ReadTraining(const Json &train, TrainSettings *out) {
  out->epochs = Integer(train, "epochs", 1);
  out->batch_size = Integer(train, "batch_size", 1, 65536);
  out->seed = static_cast<uint64_t>(Integer(train, "seed", 0));
  out->nan_policy = Choice<NanPolicy, 2>(train, "nan_policy", {"fail", "skip"});
  out->log_every_steps = Integer(train, "log_every_steps", 1);
}

void ReadOptimizer(const Json &optimizer, const Json &schedule, TrainSettings *out) {
  if (optimizer.GetString("name") != "sgd") throw Error::InvalidArgument("setting 'optimizer.name' must be sgd");
  out->lr = optimizer.GetDouble("lr");
  out->momentum = optimizer.GetDouble("momentum");
  out->weight_decay = optimizer.GetDouble("weight_decay");
  enum class Schedule { kStep, kConstant };
  out->step_schedule = Choice<Schedule, 2>(schedule, "name", {"step", "constant"}) == Schedule::kStep;
  out->schedule_step_size = Integer(schedule, "step_size", 1);
  out->schedule_gamma = schedule.GetDouble("gamma");
}

}  // namespace

double TrainSettings::LearningRate(int64_t epoch) const {
  if (!step_schedule) return lr;
  return lr * std::pow(schedule_gamma, static_cast<double>((epoch - 1) / schedule_step_size));
}

std::string_view NameOf(TrainMode mode) {
  return mode == TrainMode::kFinetune ? "finetune" : "feature";
}

TrainSettings ParseTrainSettings(std::string_view config_json) {
  Json json = Json::Parse(config_json, "train");
  TrainSettings settings;
  ReadData(json.Get("data"), &settings);
  ReadTransform(json.Get("transform"), &settings);
  const Json model = json.Get("model");
  settings.architecture = model.GetString("architecture");
  settings.weights = model.GetString("weights", "");
  settings.mode = Choice<TrainMode, 2>(model, "mode", {"finetune", "feature"});
  ReadTraining(json.Get("train"), &settings);
  settings.evaluate_batch_size = Integer(json.Get("evaluate"), "batch_size", 1, 65536);
  ReadOptimizer(json.Get("optimizer"), json.Get("schedule"), &settings);
  const Json checkpoint = json.Get("checkpoint");
  settings.checkpoint_every_epochs = Integer(checkpoint, "every_epochs", 0);
  settings.checkpoint_keep = Integer(checkpoint, "keep", 1);
  settings.device = json.GetString("device");
  settings.threads = static_cast<int>(Integer(json, "threads", 0, 1024));
  return settings;
}

}  // namespace trainyard
