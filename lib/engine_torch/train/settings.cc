#include "engine_torch/train/settings.h"

#include <algorithm>

#include "core/train_config.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/text.h"

namespace trainyard {
namespace {

// The index of a value among a setting's choices, which the table lists in the order of the enumerators.
template <typename Enum>
Enum ChoiceOf(std::string_view key, std::string_view value) {
  for (const Setting &setting : TrainConfig::Settings()) {
    if (setting.key != key) continue;
    const std::vector<std::string_view> choices = Split(setting.choices, '|');
    return static_cast<Enum>(std::find(choices.begin(), choices.end(), value) - choices.begin());
  }
  throw Error::Internal("no setting '" + std::string(key) + "'");
}

template <typename Enum>
Enum Choice(const TrainConfig &config, std::string_view key) {
  return ChoiceOf<Enum>(key, config.GetString(key));
}

std::array<float, 3> Channels(const TrainConfig &config, std::string_view key) {
  const std::vector<double> &values = config.GetNumberList(key);
  return {static_cast<float>(values.at(0)), static_cast<float>(values.at(1)), static_cast<float>(values.at(2))};
}

void ReadData(const TrainConfig &config, TrainSettings *out) {
  const std::string &directory = config.GetString("data.directory");
  out->train_directory = config.GetString("data.train_directory");
  out->validation_directory = config.GetString("data.validation_directory");
  if (!directory.empty()) {
    out->train_directory = JoinPath(directory, "train");
    out->validation_directory = JoinPath(directory, "val");
    const std::string other = JoinPath(directory, "validation");
    if (!PathExists(out->validation_directory) && PathExists(other)) out->validation_directory = other;
  }
  out->manifest = config.GetString("data.manifest");
  out->arrays = config.GetString("data.arrays");
  out->validation_fraction = config.GetNumber("data.validation_fraction");
  out->sampling = Choice<Sampling>(config, "data.sampling");
  out->bad_images = Choice<BadImages>(config, "data.bad_images");
  out->workers = static_cast<int>(config.GetInteger("data.workers"));
  out->cache = Choice<PixelCache>(config, "data.cache");
}

image::AugmentationConfig ReadAugmentation(const TrainConfig &config) {
  image::AugmentationConfig out;
  out.scale_min = config.GetNumber("transform.scale_minimum");
  out.scale_max = config.GetNumber("transform.scale_maximum");
  out.ratio_min = config.GetNumber("transform.ratio_minimum");
  out.ratio_max = config.GetNumber("transform.ratio_maximum");
  out.horizontal_flip = config.GetNumber("transform.horizontal_flip");
  out.vertical_flip = config.GetNumber("transform.vertical_flip");
  out.jitter.brightness = config.GetNumber("transform.brightness");
  out.jitter.contrast = config.GetNumber("transform.contrast");
  out.jitter.saturation = config.GetNumber("transform.saturation");
  out.jitter.hue = config.GetNumber("transform.hue");
  out.rotation.degrees = config.GetNumber("transform.rotation_degrees");
  const std::vector<double> &fill = config.GetNumberList("transform.rotation_fill");
  for (size_t c = 0; c < out.rotation.fill.size(); ++c) out.rotation.fill[c] = static_cast<uint8_t>(fill.at(c));
  out.grayscale = config.GetNumber("transform.grayscale");
  out.erasing.probability = config.GetNumber("transform.erasing");
  out.erasing.scale_min = config.GetNumber("transform.erasing_scale_minimum");
  out.erasing.scale_max = config.GetNumber("transform.erasing_scale_maximum");
  out.erasing.ratio_min = config.GetNumber("transform.erasing_ratio_minimum");
  out.erasing.ratio_max = config.GetNumber("transform.erasing_ratio_maximum");
  return out;
}

void ReadTransform(const TrainConfig &config, TrainSettings *out) {
  out->resize = static_cast<int>(config.GetInteger("transform.resize"));
  out->crop = static_cast<int>(config.GetInteger("transform.crop"));
  out->augment = config.GetBool("transform.augment");
  out->augmentation = ReadAugmentation(config);
  out->mean = Channels(config, "transform.mean");
  out->std = Channels(config, "transform.std");
}

void ReadModel(const TrainConfig &config, TrainSettings *out) {
  out->architecture = config.GetString("model.architecture");
  out->weights = config.GetString("model.weights");
  out->mode = Choice<TrainMode>(config, "model.mode");
  out->cache_features = config.GetInteger("model.cache_features");
  out->freeze = config.GetString("model.freeze");
  out->inputs = config.GetInteger("model.inputs");
  out->outputs = config.GetInteger("model.outputs");
  out->hidden = config.GetNumberList("model.hidden");
  out->activation = config.GetString("model.activation");
  out->layers = config.GetString("model.layers");
}

void ReadTraining(const TrainConfig &config, TrainSettings *out) {
  out->epochs = config.GetInteger("train.epochs");
  out->batch_size = config.GetInteger("train.batch_size");
  out->micro_batch_size = config.GetInteger("train.micro_batch_size");
  out->evaluate_batch_size = config.GetInteger("evaluate.batch_size");
  out->sync_batch_norm = config.GetBool("train.sync_batch_norm");
  out->seed = static_cast<uint64_t>(config.GetInteger("train.seed"));
  out->precision = Choice<Precision>(config, "train.precision");
  out->deterministic = config.GetBool("train.deterministic");
  out->cuda_graphs = Choice<CudaGraphs>(config, "train.cuda_graphs");
  out->nan_policy = Choice<NanPolicy>(config, "train.nan_policy");
  out->fast_kernels = config.GetBool("train.fast_kernels");
  out->clip_norm = config.GetNumber("train.clip_norm");
  out->clip_value = config.GetNumber("train.clip_value");
  out->ema_decay = config.GetNumber("train.ema_decay");
  out->early_stop_epochs = config.GetInteger("train.early_stop_epochs");
  out->log_every_steps = config.GetInteger("train.log_every_steps");
  out->steps_per_epoch = config.GetInteger("train.steps_per_epoch");
  out->loss.kind = ChoiceOf<LossKind>("loss.name", config.LossName());
  out->loss.delta = config.GetNumber("loss.delta");
  out->loss.label_smoothing = config.GetNumber("loss.label_smoothing");
  out->loss.class_weights = config.GetString("loss.class_weights");
}

OptimizerSettings ReadOptimizer(const TrainConfig &config) {
  OptimizerSettings optimizer;
  optimizer.kind = Choice<OptimizerKind>(config, "optimizer.name");
  optimizer.lr = config.GetNumber("optimizer.lr");
  optimizer.momentum = config.GetNumber("optimizer.momentum");
  optimizer.nesterov = config.GetBool("optimizer.nesterov");
  optimizer.weight_decay = config.GetNumber("optimizer.weight_decay");
  optimizer.beta1 = config.GetNumber("optimizer.beta1");
  optimizer.beta2 = config.GetNumber("optimizer.beta2");
  optimizer.alpha = config.GetNumber("optimizer.alpha");
  optimizer.epsilon = config.GetNumber("optimizer.epsilon");
  optimizer.lr_factors = config.GetString("optimizer.lr_factors");
  return optimizer;
}

ScheduleSettings ReadSchedule(const TrainConfig &config) {
  ScheduleSettings schedule;
  schedule.kind = Choice<ScheduleKind>(config, "schedule.name");
  schedule.step_size = config.GetInteger("schedule.step_size");
  schedule.gamma = config.GetNumber("schedule.gamma");
  schedule.milestones = config.GetNumberList("schedule.milestones");
  schedule.period = config.GetInteger("schedule.period");
  schedule.minimum_lr = config.GetNumber("schedule.minimum_lr");
  schedule.patience = config.GetInteger("schedule.patience");
  schedule.threshold = config.GetNumber("schedule.threshold");
  schedule.rise = config.GetNumber("schedule.rise");
  schedule.division = config.GetNumber("schedule.division");
  schedule.final_division = config.GetNumber("schedule.final_division");
  schedule.cycle_momentum = config.GetBool("schedule.cycle_momentum");
  schedule.warmup_steps = config.GetInteger("schedule.warmup_steps");
  schedule.warmup_start = config.GetNumber("schedule.warmup_start");
  return schedule;
}

// But for the data.
TrainSettings ReadAll(const TrainConfig &config) {
  TrainSettings settings;
  settings.task = Choice<Task>(config, "task");
  ReadTransform(config, &settings);
  ReadModel(config, &settings);
  ReadTraining(config, &settings);
  settings.optimizer = ReadOptimizer(config);
  settings.schedule = ReadSchedule(config);
  settings.checkpoint_every_epochs = config.GetInteger("checkpoint.every_epochs");
  settings.checkpoint_every_steps = config.GetInteger("checkpoint.every_steps");
  settings.checkpoint_keep = config.GetInteger("checkpoint.keep");
  settings.device = config.GetString("device");
  settings.threads = static_cast<int>(config.GetInteger("threads"));
  return settings;
}

}  // namespace

std::string_view NameOf(TrainMode mode) {
  return mode == TrainMode::kFinetune ? "finetune" : "feature";
}

TrainSettings ParseTrainSettings(std::string_view config_json) {
  const TrainConfig config = TrainConfig::FromJson(Json::Parse(config_json, "train"), "train");
  config.CheckComplete();
  TrainSettings settings = ReadAll(config);
  settings.config_json = config_json;
  ReadData(config, &settings);
  return settings;
}

TrainSettings ParseTrainerSettings(std::string_view config_json) {
  const TrainConfig config = TrainConfig::FromJson(Json::Parse(config_json, "train"), "train");
  config.CheckTrainer();
  const auto refuse = [](const char *key, const char *message) {
    throw Error::InvalidArgument(std::string("setting '") + key + "' " + message, {{"key", key}});
  };
  if (config.GetString("loss.class_weights") == "balanced") {
    refuse("loss.class_weights", "must be numbers here: how many samples of each class will come is not known");
  }
  if (config.GetString("schedule.name") == "onecycle" && config.GetInteger("train.steps_per_epoch") == 0) {
    refuse("train.steps_per_epoch", "must be set for schedule.name onecycle: its length is in steps");
  }
  return ReadAll(config);
}

}  // namespace trainyard
