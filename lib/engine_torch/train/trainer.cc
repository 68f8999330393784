#include "engine_torch/train/trainer.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/train_config.h"
#include "engine_torch/models/load.h"
#include "engine_torch/parallel/lost_peer.h"
#include "engine_torch/train/allocator.h"
#include "engine_torch/train/device.h"
#include "engine_torch/train/failure.h"
#include "engine_torch/train/image_dataset.h"
#include "engine_torch/train/machine.h"
#include "engine_torch/train/model_files.h"
#include "engine_torch/train/new_model.h"
#include "engine_torch/train/parameters.h"
#include "engine_torch/train/precision.h"
#include "engine_torch/train/threads.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr char kReportFile[] = "report.html";

// `ranks` share the machine.
uint64_t CacheBudget(PixelCache cache, int ranks) {
  switch (cache) {
    case PixelCache::kAuto:
    case PixelCache::kGpu:  // what does not fit on the GPU
      return AvailableMemory() / 4 / static_cast<uint64_t>(ranks);
    case PixelCache::kMemory:
      return std::numeric_limits<uint64_t>::max();
    case PixelCache::kNone:
      return 0;
  }
  return 0;
}

// CheckpointInfo::recipe.
std::string RecipeOf(const TrainSettings &settings) {
  std::vector<std::string> parts;
  if (settings.task != Task::kClassification) parts.emplace_back(ModelTask(settings.task, false));
  if (settings.sampling == Sampling::kWeighted) parts.emplace_back("weighted sampling");
  if (!settings.arrays.empty()) parts.emplace_back("arrays");
  if (settings.validation_fraction > 0)
    parts.push_back("validation fraction " + FormatDouble(settings.validation_fraction));
  return Join(parts, ", ");
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
  times_.started_ms = NowUnixMs();
  try {
    Train();
    ranks_.Close();
  } catch (const std::exception &failure) {
    const auto *error = dynamic_cast<const Error *>(&failure);
    // Who makes room goes on later: there is nothing to tell yet; nor before the data was found.
    const bool tell = (error == nullptr || error->status() != Status::kCanceled) && validation_ != nullptr;
    // What a lost rank has left unfinished on a GPU looks like a failure of its own.
    const std::string lost = ranks_.failure();
    if (tell) LeaveReport(report::Ending::kFailed, lost.empty() ? failure.what() : lost, std::nullopt);
    if (!lost.empty()) ThrowRanksFailed(lost);
    throw;
  }
}

void Trainer::Train() {
  const int64_t start = MonotonicMs();
  MeetRanks();
  OpenData();
  CheckSameData();
  SetNumerics(settings_, device_, own_libtorch_);
  PrepareModel(host_->weights_path == nullptr ? "" : host_->weights_path);
  PrepareMachine();
  LogStart();
  FillDevice();
  info_ = NewInfo();
  Resume();
  CheckSamePosition();
  times_.preparing = static_cast<double>(MonotonicMs() - start) / 1000;
  int64_t epoch = info_.epoch;
  EpochEnd end = epoch < settings_.epochs && !HasWaitedEnough(epoch) ? EpochEnd::kGoOn : EpochEnd::kLast;
  if (end == EpochEnd::kGoOn) EnqueueTraining(epoch + 1, info_.step);
  while (end == EpochEnd::kGoOn || end == EpochEnd::kAgain) {
    epoch = info_.epoch + 1;
    end = RunEpoch(epoch);
  }
  loader_->Clear();
  Finish(epoch, end == EpochEnd::kStopped);
}

void Trainer::OpenData() {
  budget_ = std::make_shared<MemoryBudget>(CacheBudget(settings_.cache, ranks_.on_this_machine()));
  DataSets sets = OpenDataSets(settings_, budget_);
  for (const std::string &note : sets.notes) reporter_.Log(LogLevel::kWarning, note);
  if (sets.test_images > 0) {
    reporter_.Log(LogLevel::kInfo, WithCommas(sets.test_images) + " images of the split test are left alone");
  }
  sampler_ = std::make_unique<Sampler>(settings_.seed, sets.train->size(), sets.weights);
  train_ = std::move(sets.train);
  validation_ = std::move(sets.validation);
}

void Trainer::PrepareMachine() {
  const int cpus = std::max(1, AvailableCpus() / ranks_.on_this_machine());
  compute_in_workers_ = own_libtorch_ && device_.is_cpu();
  int workers = settings_.workers > 0 ? settings_.workers : cpus;
  if (own_libtorch_) {
    if (device_.is_cpu()) InstallCachingAllocator();
    // Where the workers compute the features, a step is too small to be shared between threads.
    const int threads = settings_.threads > 0 ? settings_.threads : cpus;
    if (pure_ && compute_in_workers_ && settings_.workers == 0) workers = threads;
    SetComputeThreads(pure_ && compute_in_workers_ ? 1 : threads);
  }
  loader_ = std::make_unique<Loader>(workers, workers + 2, own_libtorch_);
}

// data.cache gpu. Kept features are made from the images once and need none of it; a CPU's memory is where they are.
void Trainer::FillDevice() {
  auto *pictures = dynamic_cast<ImageDataset *>(train_.get());
  if (settings_.cache != PixelCache::kGpu || device_.is_cpu() || bank_ != nullptr || pictures == nullptr) return;
  if (pictures->augments() && !DeviceImages::CanDo(pictures->transform())) {
    reporter_.Log(LogLevel::kWarning,
                  "the training images stay in the host's memory: on a GPU they are cropped, resized and flipped, and "
                  "this transform does more (data.cache gpu)");
    return;
  }
  auto images = std::make_unique<DeviceImages>(pictures, sampler_.get(), device_, settings_.batch_size, ranks_.rank(),
                                               ranks_.count());
  if (images->Fill(settings_.workers > 0 ? settings_.workers : AvailableCpus() / ranks_.on_this_machine())) {
    device_images_ = std::move(images);
  } else {
    reporter_.Log(LogLevel::kWarning,
                  "the training images do not fit into the GPU's memory, or the host's on the way: they stay in the "
                  "host's as far as it goes (data.cache gpu)");
  }
}

void Trainer::PrepareModel(const std::string &weights_path) {
  at::manual_seed(settings_.seed);
  model_ = CodeFailures("settings", [&] { return NewModel(settings_, train_->SampleShape(), OutputsOf(*train_)); });
  if (!weights_path.empty()) {
    CodeFailures("weights",
                 [&] { LoadWeights(model_.get(), OpenWeights(weights_path), {.allow_head_mismatch = true}); });
  } else {
    const bool frozen = settings_.mode == TrainMode::kFeature;
    reporter_.Log(frozen ? LogLevel::kWarning : LogLevel::kInfo,
                  frozen ? kRandomBackboneWarning : "no weights given: training starts from random ones");
  }
  CodeFailures("settings", [&] { CheckSteps(*model_, settings_, SamplesPerRank()); });
  ToChannelsLast(model_.get());
  model_->to(device_);
  if (settings_.mode == TrainMode::kFeature) FreezeBackbone(model_.get());
  FreezeMatching(model_.get(), settings_.freeze);
  ranks_.Share(model_->parameters());
  ShareBuffers();
  pure_ = settings_.mode == TrainMode::kFeature && (settings_.cache_features > 0 || HasPureBackbone(*model_));
  if (settings_.cache_features > 0) {
    TrainHead(model_.get());  // before the workers run the backbone
    bank_ = std::make_unique<FeatureBank>(train_.get(), sampler_.get(), settings_.cache_features, settings_.batch_size,
                                          budget_, ranks_.rank(), ranks_.count());
  }
  const Learner::Input input = pure_                                   ? Learner::Input::kFeatures
                               : settings_.mode == TrainMode::kFeature ? Learner::Input::kFrozenBackbone
                                                                       : Learner::Input::kImages;
  const auto on_smaller_parts = [this](int64_t samples) {
    reporter_.LogOwn(LogLevel::kWarning, "memory ran out: from now on " + std::to_string(samples) + " " +
                                             settings_.Noun() + "s at once go through the model; the batch stays " +
                                             std::to_string(settings_.batch_size) +
                                             " (set train.micro_batch_size to begin with that)");
  };
  learner_ = std::make_unique<Learner>(model_, settings_, input, train_->ClassCounts(), on_smaller_parts, &ranks_);
  schedule_ = std::make_unique<Schedule>(settings_.schedule, settings_.optimizer.lr, FirstMomentum(settings_.optimizer),
                                         settings_.epochs, StepsPerEpoch());
}

void Trainer::LogStart() const {
  int64_t all = 0;
  int64_t trained = 0;
  for (const at::Tensor &parameter : model_->parameters()) {
    all += parameter.numel();
    if (parameter.requires_grad()) trained += parameter.numel();
  }
  const std::vector<std::string> &classes = train_->classes();
  std::vector<std::string> names(classes.begin(),
                                 classes.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(classes.size(), 10)));
  reporter_.Log(LogLevel::kInfo, settings_.architecture + " on " + device_.str() + ": " + WithCommas(all) +
                                     " parameters, " + WithCommas(trained) + " of them trained (" +
                                     std::string(NameOf(settings_.mode)) + ")");
  std::string line = WithCommas(static_cast<int64_t>(train_->size())) + " training and " +
                     WithCommas(static_cast<int64_t>(validation_->size())) + " validation " + settings_.Noun() + "s";
  if (settings_.task == Task::kRegression) {
    line += ", each with " + (classes.size() == 1 ? "a number" : std::to_string(classes.size()) + " numbers");
  } else {
    line += (settings_.task == Task::kMultilabel ? " with " : " in ") + std::to_string(classes.size()) +
            (settings_.task == Task::kMultilabel ? " labels: " : " classes: ") + Join(names, ", ") +
            (classes.size() > names.size() ? ", ..." : "");
  }
  reporter_.Log(LogLevel::kInfo, line);
}

CheckpointInfo Trainer::NewInfo() const {
  CheckpointInfo info;
  info.architecture = settings_.architecture;
  info.classes = train_->classes();
  info.mode = NameOf(settings_.mode);
  info.optimizer = DescribeOptimizer(settings_.optimizer) + (settings_.ema_decay > 0 ? " and moving average" : "");
  info.precision = NameOf(settings_.precision);
  info.seed = settings_.seed;
  info.batch_size = settings_.batch_size;
  info.ranks = ranks_.count();
  info.recipe = RecipeOf(settings_);
  return info;
}

// True when there is a checkpoint, and everything is as it says.
bool Trainer::Resume() {
  return CodeFailures("checkpoint", [&] {
    CheckpointState state;
    state.model = ModelState();
    state.optimizer = learner_->optimizer().state();
    state.average = learner_->average().state();
    for (const auto &[name, tensor] : ChangingState()) state.best.emplace_back(name, tensor.detach().clone());
    const auto found = checkpoints_.Resume(info_, &state);
    if (!found) return false;
    info_ = found->info;
    schedule_->Restore(info_.plateau);
    learner_->scaler().Restore(info_.scaler);
    bad_train_ = {info_.bad_images.begin(), info_.bad_images.end()};
    best_.clear();
    if (found->best_is_current && info_.best_epoch > 0) {
      for (const auto &[name, tensor] : ChangingState()) best_.emplace_back(name, tensor.detach().clone());
    } else if (info_.best_epoch > 0) {
      best_ = std::move(state.best);
    }
    for (const std::string &line : found->damaged)
      reporter_.Log(LogLevel::kWarning, "passing over a damaged checkpoint: " + line);
    reporter_.Log(LogLevel::kInfo, "resuming after epoch " + std::to_string(info_.epoch) +
                                       (info_.step > 0 ? " and " + std::to_string(info_.step) + " steps" : "") +
                                       " from " + found->path);
    return true;
  });
}

void Trainer::Finish(int64_t epochs_done, bool stopped) {
  {
    const c10::NoGradGuard no_grad;
    const NamedState now = ChangingState();
    for (size_t i = 0; i < best_.size(); ++i) now[i].second.copy_(best_[i].second);
  }
  ModelDescription description;
  description.task = settings_.task;
  description.architecture = settings_.architecture;
  if (!settings_.arrays.empty()) {
    description.sample_shape = train_->SampleShape();
    description.normalises_bytes = train_->normalises_bytes();
    description.layers = LayersOf(settings_, OutputsOf(*train_));
  }
  description.classes = train_->classes();
  description.resize = settings_.resize;
  description.crop = settings_.crop;
  description.mean = settings_.mean;
  description.std = settings_.std;
  description.epochs = epochs_done;
  description.best_epoch = info_.best_epoch;
  description.best_val_accuracy = info_.best_val_accuracy;
  description.best_val_loss = info_.best_val_loss;
  description.seed = settings_.seed;
  description.mode = NameOf(settings_.mode);
  description.stopped = stopped;
  CheckSameWeights();
  if (ranks_.leads()) WriteModel(host_->output_directory, description, *model_);
  const bool numbers = settings_.task == Task::kRegression;
  if (!numbers) reporter_.Metric("best_val_accuracy", epochs_done, info_.best_val_accuracy);
  if (settings_.task != Task::kClassification && info_.best_epoch > 0)
    reporter_.Metric("best_val_loss", epochs_done, info_.best_val_loss);
  reporter_.Metric("best_epoch", epochs_done, static_cast<double>(info_.best_epoch));
  bad_train_.merge(AllBad(*train_));
  bad_validation_.merge(AllBad(*validation_));
  if (const size_t bad = bad_train_.size() + bad_validation_.size(); bad > 0) {
    reporter_.Metric("bad_images", epochs_done, static_cast<double>(bad));
  }
  // When the best epoch was before a resume; a host that wants the place does without the results.
  if (best_verdicts_.empty() && best_answers_.empty() && info_.best_epoch > 0 && Evaluate(epochs_done, /*last=*/true)) {
    best_verdicts_ = verdicts_;
    best_answers_ = answers_;
  }
  LeaveReport(stopped ? report::Ending::kStopped : report::Ending::kCompleted, "", epochs_done);
  reporter_.Log(LogLevel::kInfo,
                std::string(stopped ? "stopped as asked" : "done") + ": best validation " +
                    (numbers ? "loss " + Fixed(info_.best_val_loss) : "accuracy " + Fixed(info_.best_val_accuracy)) +
                    " in epoch " + std::to_string(info_.best_epoch));
}

// Of the weights that are kept, on the validation set. The other tasks tell theirs after each epoch.
void Trainer::TellResults(int64_t epochs_done, const report::TrainingReport &run) const {
  if (settings_.task != Task::kClassification) return;
  const report::ClassificationMetrics metrics = report::ComputeMetrics(run.confusion, run.top_k);
  if (metrics.images == 0) return;
  reporter_.Metric("val/balanced_accuracy", epochs_done, metrics.balanced_accuracy);
  reporter_.Metric("val/precision_macro", epochs_done, metrics.macro.precision);
  reporter_.Metric("val/recall_macro", epochs_done, metrics.macro.recall);
  reporter_.Metric("val/f1_macro", epochs_done, metrics.macro.f1);
  if (std::isfinite(run.roc_auc)) reporter_.Metric("val/roc_auc", epochs_done, run.roc_auc);
  for (const report::TopKAccuracy &top : metrics.top_k) {
    reporter_.Metric(("val/top" + std::to_string(top.k) + "_accuracy").c_str(), epochs_done, top.accuracy);
  }
}

// Whatever goes wrong here is told: the run itself is not worse for it.
void Trainer::LeaveReport(report::Ending ending, const std::string &message, std::optional<int64_t> epochs_done) const {
  if (!ranks_.leads()) return;
  try {
    const report::TrainingReport run = DescribeRun(
        {&settings_, &info_, train_.get(), validation_.get(), &best_verdicts_, &best_answers_, &times_, device_.str()},
        ending, message);
    if (epochs_done) TellResults(*epochs_done, run);
    report::WriteReport(JoinPath(host_->output_directory, kReportFile), run);
  } catch (const std::exception &failure) {
    reporter_.Log(LogLevel::kWarning, std::string(kReportFile) + " could not be written: " + failure.what());
  }
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
