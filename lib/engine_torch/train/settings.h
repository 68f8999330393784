// The settings of a training job as the engine uses them. Thread rule: a value.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace trainyard {

enum class BadImages { kSkip, kFail };
enum class PixelCache { kAuto, kMemory, kNone };
enum class TrainMode { kFinetune, kFeature };
enum class NanPolicy { kFail, kSkip };

struct TrainSettings {
  // data
  std::string train_directory;
  std::string validation_directory;
  BadImages bad_images = BadImages::kSkip;
  int workers = 0;  // 0 = as many as CPUs
  PixelCache cache = PixelCache::kAuto;
  // transform
  int resize = 256;
  int crop = 224;
  bool augment = true;
  double scale_minimum = 0.08;
  std::array<float, 3> mean = {};
  std::array<float, 3> std = {};
  // model
  std::string architecture;
  std::string weights;  // as the job names them; the file comes from the host
  TrainMode mode = TrainMode::kFinetune;
  // train, evaluate
  int64_t epochs = 0;
  int64_t batch_size = 0;
  int64_t evaluate_batch_size = 0;
  uint64_t seed = 0;
  NanPolicy nan_policy = NanPolicy::kFail;
  int64_t log_every_steps = 0;
  // optimizer, schedule
  double lr = 0;
  double momentum = 0;
  double weight_decay = 0;
  bool step_schedule = true;
  int64_t schedule_step_size = 0;
  double schedule_gamma = 0;
  // checkpoint
  int64_t checkpoint_every_epochs = 0;  // 0 = none
  int64_t checkpoint_keep = 1;
  // machine
  std::string device;  // "auto", "cpu", "cuda", "cuda:N"
  int threads = 0;     // 0 = as many as CPUs

  // StepLR's (or the constant) rate of an epoch, counted from 1.
  double LearningRate(int64_t epoch) const;
};

std::string_view NameOf(TrainMode mode);  // "finetune", "feature"

// Nested JSON with every setting present (core/train_config.cc's table). data.directory becomes the two directories of
// its `train` and `val` (or `validation`) folders. Throws Error::InvalidArgument naming the setting.
TrainSettings ParseTrainSettings(std::string_view config_json);

}  // namespace trainyard
