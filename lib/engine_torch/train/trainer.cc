#include "engine_torch/train/trainer.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <limits>

#include "engine_torch/models/load.h"
#include "engine_torch/models/registry.h"
#include "engine_torch/train/allocator.h"
#include "engine_torch/train/device.h"
#include "engine_torch/train/failure.h"
#include "engine_torch/train/machine.h"
#include "engine_torch/train/model_files.h"
#include "util/text.h"

namespace trainyard {
namespace {

uint64_t CacheBudget(PixelCache cache) {
  switch (cache) {
    case PixelCache::kAuto:
      return AvailableMemory() / 4;
    case PixelCache::kMemory:
      return std::numeric_limits<uint64_t>::max();
    case PixelCache::kNone:
      return 0;
  }
  return 0;
}

// Channels-last convolution weights, for channels-last images: no conversion in each step.
void ToChannelsLast(ImageClassifier *model) {
  for (at::Tensor parameter : model->parameters()) {
    if (parameter.dim() == 4) parameter.set_data(parameter.detach().contiguous(at::MemoryFormat::ChannelsLast));
  }
}

}  // namespace

Trainer::Trainer(const TrainSettings &settings, const ty_engine_host *host, bool own_libtorch)
    : settings_(settings),
      host_(host),
      own_libtorch_(own_libtorch),
      reporter_(host),
      device_(c10::kCPU),
      checkpoints_(host->checkpoint_directory, settings.checkpoint_keep) {}

Trainer::~Trainer() = default;

void Trainer::Run() {
  if (host_->world_size > 1) {
    throw Error(Status::kUnsupported, "training on several ranks is not there yet: submit the job with one process");
  }
  budget_ = std::make_shared<MemoryBudget>(CacheBudget(settings_.cache));
  Folders folders = OpenFolders(settings_);
  const image::TransformConfig transform = TransformOf(settings_);
  train_ = std::make_unique<Dataset>(std::move(folders.train), transform, settings_.augment, settings_.seed, budget_);
  validation_ = std::make_unique<Dataset>(std::move(folders.validation), transform, false, settings_.seed, budget_);
  device_ = ChooseDevice(settings_.device);
  PrepareModel(host_->weights_path == nullptr ? "" : host_->weights_path);
  PrepareMachine();
  LogStart();
  info_ = NewInfo();
  Resume();
  bool stopped = false;
  const int64_t first = info_.epoch + 1;
  if (first <= settings_.epochs) EnqueueTraining(first);
  int64_t epoch = info_.epoch;
  while (epoch < settings_.epochs && !stopped) stopped = RunEpoch(++epoch);
  loader_->Clear();
  Finish(epoch, stopped);
}

void Trainer::PrepareMachine() {
  const int cpus = AvailableCpus();
  compute_in_workers_ = own_libtorch_ && device_.is_cpu();
  int workers = settings_.workers > 0 ? settings_.workers : cpus;
  if (own_libtorch_) {
    if (device_.is_cpu()) InstallCachingAllocator();
    // Where the workers compute the features, a step is too small to be shared between threads.
    const int threads = settings_.threads > 0 ? settings_.threads : cpus;
    if (pure_ && compute_in_workers_ && settings_.workers == 0) workers = threads;
    at::set_num_threads(pure_ && compute_in_workers_ ? 1 : threads);
    at::globalContext().setBenchmarkCuDNN(false);
    at::globalContext().setDeterministicCuDNN(true);
  }
  loader_ = std::make_unique<Loader>(workers, workers + 2, own_libtorch_);
}

void Trainer::PrepareModel(const std::string &weights_path) {
  CheckCrop(FindArchitecture(settings_.architecture), settings_.crop);
  at::manual_seed(settings_.seed);
  const auto classes = static_cast<int64_t>(train_->folder().classes.size());
  model_ = MakeModel(settings_.architecture, classes);
  if (!weights_path.empty()) {
    CodeFailures("weights",
                 [&] { LoadWeights(model_.get(), OpenWeights(weights_path), {.allow_head_mismatch = true}); });
  } else {
    reporter_.Log(settings_.mode == TrainMode::kFeature ? LogLevel::kWarning : LogLevel::kInfo,
                  settings_.mode == TrainMode::kFeature
                      ? "no weights given: the frozen backbone is random; set model.weights"
                      : "no weights given: training starts from random ones");
  }
  ToChannelsLast(model_.get());
  model_->to(device_);
  if (settings_.mode == TrainMode::kFeature) FreezeBackbone(model_.get());
  pure_ = settings_.mode == TrainMode::kFeature && HasPureBackbone(*model_);
  Sgd::NamedTensors trained;
  for (const auto &parameter : model_->named_parameters()) {
    if (parameter.value().requires_grad()) trained.emplace_back(parameter.key(), parameter.value());
  }
  sgd_ = std::make_unique<Sgd>(std::move(trained), settings_.momentum, settings_.weight_decay);
}

void Trainer::LogStart() const {
  int64_t all = 0;
  int64_t trained = 0;
  for (const at::Tensor &parameter : model_->parameters()) {
    all += parameter.numel();
    if (parameter.requires_grad()) trained += parameter.numel();
  }
  const std::vector<std::string> &classes = train_->folder().classes;
  std::vector<std::string> names(classes.begin(),
                                 classes.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(classes.size(), 10)));
  reporter_.Log(LogLevel::kInfo, settings_.architecture + " on " + device_.str() + ": " + WithCommas(all) +
                                     " parameters, " + WithCommas(trained) + " of them trained (" +
                                     std::string(NameOf(settings_.mode)) + ")");
  reporter_.Log(LogLevel::kInfo, WithCommas(static_cast<int64_t>(train_->size())) + " training and " +
                                     WithCommas(static_cast<int64_t>(validation_->size())) + " validation images in " +
                                     std::to_string(classes.size()) + " classes: " + Join(names, ", ") +
                                     (classes.size() > names.size() ? ", ..." : ""));
}

CheckpointInfo Trainer::NewInfo() const {
  CheckpointInfo info;
  info.architecture = settings_.architecture;
  info.classes = train_->folder().classes;
  info.mode = NameOf(settings_.mode);
  info.seed = settings_.seed;
  info.batch_size = settings_.batch_size;
  return info;
}

void Trainer::Resume() {
  CodeFailures("checkpoint", [&] {
    CheckpointState state;
    state.model = ModelState();
    state.momentum = sgd_->state();
    for (const auto &[name, tensor] : ChangingState()) state.best.emplace_back(name, tensor.detach().clone());
    const auto found = checkpoints_.Resume(info_, &state);
    if (!found) return;
    info_ = found->info;
    best_.clear();
    if (found->best_is_current) {
      for (const auto &[name, tensor] : ChangingState()) best_.emplace_back(name, tensor.detach().clone());
    } else {
      best_ = std::move(state.best);
    }
    for (const std::string &line : found->damaged)
      reporter_.Log(LogLevel::kWarning, "passing over a damaged checkpoint: " + line);
    reporter_.Log(LogLevel::kInfo, "resuming after epoch " + std::to_string(info_.epoch) + " from " + found->path);
  });
}

void Trainer::Finish(int64_t epochs_done, bool stopped) {
  {
    const c10::NoGradGuard no_grad;
    const NamedState now = ChangingState();
    for (size_t i = 0; i < best_.size(); ++i) now[i].second.copy_(best_[i].second);
  }
  ModelDescription description;
  description.architecture = settings_.architecture;
  description.classes = train_->folder().classes;
  description.resize = settings_.resize;
  description.crop = settings_.crop;
  description.mean = settings_.mean;
  description.std = settings_.std;
  description.epochs = epochs_done;
  description.best_epoch = info_.best_epoch;
  description.best_val_accuracy = info_.best_val_accuracy;
  description.seed = settings_.seed;
  description.mode = NameOf(settings_.mode);
  description.stopped = stopped;
  WriteModel(host_->output_directory, description, *model_);
  reporter_.Metric("best_val_accuracy", epochs_done, info_.best_val_accuracy);
  reporter_.Metric("best_epoch", epochs_done, static_cast<double>(info_.best_epoch));
  if (const size_t bad = bad_train_.size() + bad_validation_.size(); bad > 0) {
    reporter_.Metric("bad_images", epochs_done, static_cast<double>(bad));
  }
  reporter_.Log(LogLevel::kInfo, std::string(stopped ? "stopped as asked" : "done") + ": best validation accuracy " +
                                     Fixed(info_.best_val_accuracy) + " in epoch " + std::to_string(info_.best_epoch));
}

NamedState Trainer::ModelState() const {
  NamedState state;
  for (const auto &parameter : model_->named_parameters()) state.emplace_back(parameter.key(), parameter.value());
  for (const auto &buffer : model_->named_buffers()) state.emplace_back(buffer.key(), buffer.value());
  return state;
}

NamedState Trainer::ChangingState() const {
  NamedState state;
  for (const auto &parameter : model_->named_parameters()) {
    if (parameter.value().requires_grad()) state.emplace_back(parameter.key(), parameter.value());
  }
  for (const auto &buffer : model_->named_buffers()) state.emplace_back(buffer.key(), buffer.value());
  return state;
}

}  // namespace trainyard
