#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "engine_torch/image/random.h"
#include "engine_torch/train/failure.h"
#include "engine_torch/train/sampler.h"
#include "engine_torch/train/trainer.h"
#include "util/clock.h"
#include "util/text.h"

namespace trainyard {
namespace {

// Images that a worker takes through (a part of) the model at once: enough to be efficient, few enough to stay in the
// CPU's caches.
constexpr int64_t kWorkerImages = 16;
// Bad images that are named in the log; more are counted.
constexpr size_t kNamedBadImages = 20;

double SecondsSince(int64_t start_ms) {
  return static_cast<double>(MonotonicMs() - start_ms) / 1000;
}

// LibTorch's generator (dropout) in an epoch: derived, so that there is no state to keep in a checkpoint.
uint64_t EpochSeed(uint64_t seed, int64_t epoch) {
  const auto words = image::SampleRandom::Mix({0, static_cast<uint32_t>(epoch), 0xD50F0u, 0},
                                              {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return static_cast<uint64_t>(words[0]) << 32 | words[1];
}

}  // namespace

bool Trainer::RunEpoch(int64_t epoch) {
  epoch_started_ms_ = MonotonicMs();
  at::manual_seed(EpochSeed(settings_.seed, epoch));
  bool stopped = false;
  const Totals train = TrainPhase(epoch, &stopped);
  NoteBadImages(*train_, "training", &bad_train_);
  if (stopped) loader_->Clear();
  const Totals val = Evaluate(epoch, /*last=*/stopped || epoch == settings_.epochs);
  NoteBadImages(*validation_, "validation", &bad_validation_);
  const bool best = val.Accuracy() > info_.best_val_accuracy;
  KeepBest(epoch, val.Accuracy());
  // A part of an epoch is no state to resume from: the last whole one stays.
  if (!stopped) WriteCheckpoint(epoch);

  const double rate = settings_.LearningRate(epoch);
  last_epoch_seconds_ = SecondsSince(epoch_started_ms_);
  reporter_.Metric("train/loss", epoch, train.MeanLoss());
  reporter_.Metric("train/accuracy", epoch, train.Accuracy());
  reporter_.Metric("val/loss", epoch, val.MeanLoss());
  reporter_.Metric("val/accuracy", epoch, val.Accuracy());
  reporter_.Metric("learning_rate", epoch, rate);
  reporter_.Metric("epoch_seconds", epoch, last_epoch_seconds_);
  reporter_.Metric("images_per_second", epoch, train.Rate());
  reporter_.Log(LogLevel::kInfo, "epoch " + std::to_string(epoch) + "/" + std::to_string(settings_.epochs) +
                                     "  train loss " + Fixed(train.MeanLoss()) + " accuracy " +
                                     Fixed(train.Accuracy()) + "  val loss " + Fixed(val.MeanLoss()) + " accuracy " +
                                     Fixed(val.Accuracy()) + "  " + Fixed(train.Rate(), 0) + " images/s  " +
                                     Duration(last_epoch_seconds_) + (best ? "  best so far" : ""));
  return stopped || reporter_.StopWanted();
}

void Trainer::EnqueueTraining(int64_t epoch) {
  Pass pass;
  pass.dataset = train_.get();
  pass.epoch = static_cast<uint32_t>(epoch);
  pass.order = ShuffledOrder(settings_.seed, pass.epoch, train_->size());
  pass.batch_size = settings_.batch_size;
  if (pure_) {
    pass.batches_per_chunk = std::max<int64_t>(1, kWorkerImages / settings_.batch_size);
    if (compute_in_workers_)
      pass.stage = [model = model_](const at::Tensor &images) { return model->features(images); };
  }
  loader_->Enqueue(std::move(pass));
}

Trainer::Totals Trainer::TrainPhase(int64_t epoch, bool *stopped) {
  const int64_t start = MonotonicMs();
  model_->train();
  Totals totals;
  int64_t step = 0;
  const int64_t steps = (static_cast<int64_t>(train_->size()) + settings_.batch_size - 1) / settings_.batch_size;
  while (const std::unique_ptr<Chunk> chunk = *stopped ? nullptr : loader_->Next()) {
    if (settings_.bad_images == BadImages::kFail) NoteBadImages(*train_, "training", &bad_train_);
    at::Tensor inputs = chunk->inputs.to(device_, /*non_blocking=*/true);
    const at::Tensor targets = chunk->targets.to(device_, /*non_blocking=*/true);
    if (pure_ && !compute_in_workers_ && inputs.size(0) > 0) {
      const c10::NoGradGuard no_grad;
      inputs = model_->features(inputs);
    }
    int64_t first = 0;
    for (const int64_t count : chunk->batches) {
      ++step;
      ++info_.global_step;
      if (count == 0) continue;
      TrainStep(epoch, step, inputs.narrow(0, first, count), targets.narrow(0, first, count), &totals);
      first += count;
      if (reporter_.ProgressDue()) {
        totals.seconds = SecondsSince(start);
        ReportProgress(epoch, "train", step, steps, totals);
      }
      if ((*stopped = reporter_.StopWanted())) break;
    }
  }
  ReadSteps(epoch, &totals);
  totals.seconds = SecondsSince(start);
  if (totals.images == 0 && !*stopped) {
    const auto bad = train_->bad();
    if (bad.size() == train_->size()) {
      throw WithCode(Error::Corrupt("none of the " + std::to_string(bad.size()) +
                                    " training images can be read; the first: " + bad.begin()->second),
                     "data");
    }
    FailNan(epoch, step, settings_.batch_size, std::nan(""));
  }
  return totals;
}

at::Tensor Trainer::Logits(const at::Tensor &inputs) {
  if (pure_) return model_->head(inputs);
  if (settings_.mode == TrainMode::kFinetune) return model_->forward(inputs);
  at::Tensor features;
  {
    const c10::NoGradGuard no_grad;
    features = model_->features(inputs);
  }
  return model_->head(features);
}

void Trainer::TrainStep(int64_t epoch, int64_t step, const at::Tensor &inputs, const at::Tensor &targets,
                        Totals *totals) {
  sgd_->ZeroGradients();
  const at::Tensor logits = Logits(inputs);
  const at::Tensor loss = at::cross_entropy_loss(logits, targets);
  const int64_t images = targets.size(0);
  if (settings_.nan_policy == NanPolicy::kSkip && !std::isfinite(loss.item<double>())) {
    if (info_.skipped_steps++ == 0) {
      reporter_.Log(LogLevel::kWarning, "the loss is not a finite number in epoch " + std::to_string(epoch) +
                                            ", step " + std::to_string(step) +
                                            ": such steps are left out and counted (train.nan_policy skip)");
    }
    return;
  }
  loss.backward();
  sgd_->Step(settings_.LearningRate(epoch));
  pending_.push_back({step, images, loss.detach(), logits.detach().argmax(1).eq(targets).sum()});
  // On a GPU, reading a value waits for all that was started before: done once in a while only.
  if (device_.is_cpu() || static_cast<int64_t>(pending_.size()) >= settings_.log_every_steps) ReadSteps(epoch, totals);
}

void Trainer::ReadSteps(int64_t epoch, Totals *totals) {
  for (const PendingStep &pending : pending_) {
    const double loss = pending.loss.item<double>();
    if (!std::isfinite(loss)) FailNan(epoch, pending.step, pending.images, loss);
    totals->loss += loss * static_cast<double>(pending.images);
    totals->correct += pending.correct.item<int64_t>();
    totals->images += pending.images;
    const int64_t steps = (static_cast<int64_t>(train_->size()) + settings_.batch_size - 1) / settings_.batch_size;
    const int64_t global_step = (epoch - 1) * steps + pending.step;
    if (global_step % settings_.log_every_steps == 0) reporter_.Metric("train/loss_step", global_step, loss);
  }
  pending_.clear();
}

void Trainer::FailNan(int64_t epoch, int64_t step, int64_t images, double loss) const {
  std::string what = "the loss is " + Fixed(loss) + " in epoch " + std::to_string(epoch) + ", step " +
                     std::to_string(step) + " (" + std::to_string(images) + " images)";
  if (settings_.nan_policy == NanPolicy::kSkip) what += ", as in every step of this epoch";
  throw Error(
      Status::kEngine,
      what + ": try a smaller optimizer.lr (now " + FormatDouble(settings_.LearningRate(epoch)) +
          "), and look at transform.mean, transform.std and the weights" +
          (settings_.nan_policy == NanPolicy::kSkip ? "" : "; train.nan_policy skip leaves single such steps out"),
      {{"code", "nan_loss"}, {"epoch", std::to_string(epoch)}, {"step", std::to_string(step)}});
}

Trainer::Totals Trainer::Evaluate(int64_t epoch, bool last) {
  const int64_t start = MonotonicMs();
  const c10::NoGradGuard no_grad;
  model_->eval();
  Totals totals;
  if (validation_kept_) {
    if (!last) EnqueueTraining(epoch + 1);
    for (const Chunk &chunk : validation_features_) EvaluateChunk(chunk, true, &totals);
  } else {
    Pass pass;
    pass.dataset = validation_.get();
    pass.order = SequentialOrder(validation_->size());
    pass.batch_size =
        compute_in_workers_ ? std::min(settings_.evaluate_batch_size, kWorkerImages) : settings_.evaluate_batch_size;
    if (compute_in_workers_) {
      pass.stage = [model = model_, pure = pure_](const at::Tensor &images) {
        return pure ? model->features(images) : model->forward(images);
      };
    }
    const int64_t steps = (static_cast<int64_t>(validation_->size()) + pass.batch_size - 1) / pass.batch_size;
    loader_->Enqueue(std::move(pass));
    // What the next epoch needs first does not depend on this one's end.
    if (!last) EnqueueTraining(epoch + 1);
    bool keep = pure_;
    int64_t step = 0;
    while (std::unique_ptr<Chunk> chunk = loader_->Next()) {
      if (settings_.bad_images == BadImages::kFail) NoteBadImages(*validation_, "validation", &bad_validation_);
      chunk->inputs = chunk->inputs.to(device_);
      chunk->targets = chunk->targets.to(device_);
      if (pure_ && !compute_in_workers_ && chunk->inputs.size(0) > 0) chunk->inputs = model_->features(chunk->inputs);
      EvaluateChunk(*chunk, pure_ || compute_in_workers_, &totals);
      totals.seconds = SecondsSince(start);
      if (reporter_.ProgressDue()) ReportProgress(epoch, "val", ++step, steps, totals);
      keep = keep && chunk->inputs.is_cpu() && budget_->Take(chunk->inputs.nbytes());
      if (keep) validation_features_.push_back(std::move(*chunk));
    }
    validation_kept_ = keep;
    if (!keep) validation_features_.clear();
  }
  totals.seconds = SecondsSince(start);
  if (totals.images == 0) {
    const auto bad = validation_->bad();
    throw WithCode(
        Error::Corrupt("none of the " + std::to_string(validation_->size()) + " validation images can be read" +
                       (bad.empty() ? "" : "; the first: " + bad.begin()->second)),
        "data");
  }
  ReportProgress(epoch, "val", 1, 1, totals);
  return totals;
}

void Trainer::EvaluateChunk(const Chunk &chunk, bool staged, Totals *totals) {
  const int64_t images = chunk.targets.size(0);
  if (images == 0) return;
  at::Tensor logits = chunk.inputs;
  if (pure_) {
    logits = model_->head(chunk.inputs);
  } else if (!staged) {
    logits = model_->forward(chunk.inputs);
  }
  totals->loss += at::cross_entropy_loss(logits, chunk.targets).item<double>() * static_cast<double>(images);
  totals->correct += logits.argmax(1).eq(chunk.targets).sum().item<int64_t>();
  totals->images += images;
}

void Trainer::KeepBest(int64_t epoch, double accuracy) {
  if (accuracy <= info_.best_val_accuracy) return;
  info_.best_val_accuracy = accuracy;
  info_.best_epoch = epoch;
  best_.clear();
  for (const auto &[name, tensor] : ChangingState()) best_.emplace_back(name, tensor.detach().clone());
}

void Trainer::WriteCheckpoint(int64_t epoch) {
  info_.epoch = epoch;
  if (settings_.checkpoint_every_epochs == 0 || epoch % settings_.checkpoint_every_epochs != 0) return;
  CheckpointState state;
  state.model = ModelState();
  state.momentum = sgd_->state();
  if (info_.best_epoch != epoch) state.best = best_;
  checkpoints_.Write(info_, state);
}

void Trainer::NoteBadImages(const Dataset &dataset, const char *which, std::set<size_t> *known) const {
  const auto bad = dataset.bad();
  if (bad.size() == known->size()) return;
  if (settings_.bad_images == BadImages::kFail) {
    throw Error(Status::kCorrupt,
                "a " + std::string(which) + " image cannot be read: " + bad.begin()->second +
                    "; replace or remove it, or set data.bad_images to skip",
                {{"code", "data"}, {"path", dataset.folder().samples[bad.begin()->first].path}});
  }
  for (const auto &[index, reason] : bad) {
    if (!known->insert(index).second) continue;
    if (known->size() <= kNamedBadImages) {
      reporter_.Log(LogLevel::kWarning, "left out a " + std::string(which) + " image: " + reason);
    } else if (known->size() == kNamedBadImages + 1) {
      reporter_.Log(LogLevel::kWarning,
                    "more " + std::string(which) + " images cannot be read; they are counted in the metric bad_images");
    }
  }
}

void Trainer::ReportProgress(int64_t epoch, const char *phase, int64_t step, int64_t steps, const Totals &totals) {
  const bool training = phase[0] == 't';
  const auto train_images = static_cast<double>(train_->size());
  const double val_images = validation_kept_ ? 0 : static_cast<double>(validation_->size());
  const double part = static_cast<double>(step) / static_cast<double>(std::max<int64_t>(steps, 1));
  const double done = (training ? train_images * part : train_images + val_images * part) / (train_images + val_images);
  const double elapsed = SecondsSince(epoch_started_ms_);
  const double per_epoch = last_epoch_seconds_ > 0 ? last_epoch_seconds_ : done > 0 ? elapsed / done : 0;
  Progress progress;
  progress.epoch = epoch;
  progress.epochs = settings_.epochs;
  progress.step = step;
  progress.steps = steps;
  progress.phase = phase;
  progress.loss = totals.MeanLoss();
  progress.accuracy = totals.Accuracy();
  progress.images_per_second = totals.Rate();
  if (per_epoch > 0) {
    const double left = per_epoch * (1 - done) + per_epoch * static_cast<double>(settings_.epochs - epoch);
    progress.time_left_ms = static_cast<int64_t>(left * 1000);
  }
  reporter_.Report(progress);
}

}  // namespace trainyard
