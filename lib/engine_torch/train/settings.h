// The settings of a training job as the engine uses them. Thread rule: a value.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine_torch/image/augmentation.h"
#include "engine_torch/train/task.h"

namespace trainyard {

enum class BadImages { kSkip, kFail };
enum class Sampling { kShuffle, kWeighted };
enum class PixelCache { kAuto, kMemory, kNone, kGpu };
enum class TrainMode { kFinetune, kFeature };
enum class NanPolicy { kFail, kSkip, kRollback };
enum class CudaGraphs { kAuto, kOff };
enum class Precision { kFp32, kTf32, kBf16, kFp16 };
enum class OptimizerKind { kSgd, kAdam, kAdamW, kRmsProp };
enum class LossKind { kCrossEntropy, kBce, kMse, kL1, kHuber };
enum class ScheduleKind { kStep, kMultiStep, kExponential, kCosine, kOneCycle, kPlateau, kConstant };

struct OptimizerSettings {
  OptimizerKind kind = OptimizerKind::kSgd;
  double lr = 0;
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;
  double beta1 = 0;
  double beta2 = 0;
  double alpha = 0;
  double epsilon = 0;
  std::string lr_factors;
};

struct ScheduleSettings {
  ScheduleKind kind = ScheduleKind::kStep;
  int64_t step_size = 0;
  double gamma = 0;
  std::vector<double> milestones;
  int64_t period = 0;  // 0 = all epochs
  double minimum_lr = 0;
  int64_t patience = 0;
  double threshold = 0;
  double rise = 0;
  double division = 0;
  double final_division = 0;
  bool cycle_momentum = false;
  int64_t warmup_steps = 0;
  double warmup_start = 0;
};

struct LossSettings {
  LossKind kind = LossKind::kCrossEntropy;
  double delta = 1;  // of Huber
  double label_smoothing = 0;
  std::string class_weights;  // "", "balanced" or numbers
};

struct TrainSettings {
  Task task = Task::kClassification;
  // data
  std::string train_directory;
  std::string validation_directory;
  std::string manifest;            // instead of the two
  std::string arrays;              // instead of images: a file or a directory
  double validation_fraction = 0;  // of the training images, where there are no others to validate with
  Sampling sampling = Sampling::kShuffle;
  BadImages bad_images = BadImages::kSkip;
  int workers = 0;  // 0 = as many as CPUs
  PixelCache cache = PixelCache::kAuto;
  // transform
  int resize = 256;
  int crop = 224;
  bool augment = true;
  image::AugmentationConfig augmentation = {};
  std::array<float, 3> mean = {};
  std::array<float, 3> std = {};
  // model
  std::string architecture;
  std::string weights;  // as the job names them; the file comes from the host
  TrainMode mode = TrainMode::kFinetune;
  int64_t cache_features = 0;  // views of each training image; 0 = none are kept
  std::string freeze;          // patterns of parameter names
  int64_t inputs = 0;          // this and the next four: of mlp and sequential
  int64_t outputs = 0;
  std::vector<double> hidden;
  std::string activation;
  std::string layers;
  // train, evaluate
  int64_t epochs = 0;
  int64_t batch_size = 0;
  int64_t micro_batch_size = 0;  // 0 = the whole batch
  int64_t evaluate_batch_size = 0;
  bool sync_batch_norm = false;
  uint64_t seed = 0;
  Precision precision = Precision::kFp32;
  bool deterministic = false;
  CudaGraphs cuda_graphs = CudaGraphs::kAuto;
  NanPolicy nan_policy = NanPolicy::kFail;
  bool fast_kernels = true;
  double clip_norm = 0;
  double clip_value = 0;
  double ema_decay = 0;
  int64_t early_stop_epochs = 0;
  int64_t log_every_steps = 0;
  int64_t steps_per_epoch = 0;  // where the host says it
  LossSettings loss;
  OptimizerSettings optimizer;
  ScheduleSettings schedule;
  // checkpoint
  int64_t checkpoint_every_epochs = 0;  // 0 = none
  int64_t checkpoint_every_steps = 0;   // 0 = none
  int64_t checkpoint_keep = 1;
  std::string config_json;  // all that the job has set, nested
  // machine
  std::string device;  // "auto", "cpu", "cuda", "cuda:N"
  int threads = 0;     // 0 = as many as CPUs

  // What one sample of the data is called.
  const char *Noun() const { return arrays.empty() ? "image" : "sample"; }
};

std::string_view NameOf(TrainMode mode);  // "finetune", "feature"

// Nested JSON; what is left out has core/train_config.h's default. data.directory becomes the two directories of its
// `train` and `val` (or `validation`) folders. Throws Error::InvalidArgument naming the setting.
TrainSettings ParseTrainSettings(std::string_view config_json);
// For a model that learns from the host's own memory: names no data.
TrainSettings ParseTrainerSettings(std::string_view config_json);

}  // namespace trainyard
