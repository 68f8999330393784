#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "engine_torch/train/failure.h"
#include "engine_torch/train/parameters.h"
#include "engine_torch/train/precision.h"
#include "engine_torch/train/sampler.h"
#include "engine_torch/train/trainer.h"
#include "util/clock.h"
#include "util/text.h"

namespace trainyard {
namespace {

// Bad images that are named in the log; more are counted.
constexpr size_t kNamedBadImages = 20;
// Without a checkpoint in between; then going back is no help.
constexpr int64_t kMostRollbacks = 5;

}  // namespace

int64_t Trainer::WorkerSamples() const {
  return std::max(kWorkerSamples, kWorkerFloats / std::max<int64_t>(train_->SampleSize(), 1));
}

double Trainer::SecondsSince(int64_t start_ms) {
  return static_cast<double>(MonotonicMs() - start_ms) / 1000;
}

int64_t Trainer::SamplesPerRank() const {
  return (static_cast<int64_t>(train_->size()) + ranks_.count() - 1) / ranks_.count();
}

int64_t Trainer::StepsPerEpoch() const {
  return (SamplesPerRank() + settings_.batch_size - 1) / settings_.batch_size;
}

StepRates Trainer::RatesAt(int64_t epoch, int64_t step) const {
  StepRates rates = schedule_->At(epoch, step);
  rates.lr *= info_.lr_factor;
  return rates;
}

bool Trainer::HasWaitedEnough(int64_t epoch) const {
  return settings_.early_stop_epochs > 0 && epoch - info_.best_epoch >= settings_.early_stop_epochs;
}

Trainer::EpochEnd Trainer::RunEpoch(int64_t epoch) {
  epoch_started_ms_ = MonotonicMs();
  Totals train;
  const PhaseEnd phase = TrainPhase(epoch, &train);
  if (phase == PhaseEnd::kNotFinite) {
    GoBack();
    return EpochEnd::kAgain;
  }
  const bool stopped = phase == PhaseEnd::kStopped;
  NoteBad(*train_, "training", &bad_train_);
  if (stopped) loader_->Clear();
  std::optional<Totals> val;
  bool best = false;
  {
    const MovingAverage::InPlace average(&learner_->average());
    val = Evaluate(epoch, /*last=*/stopped || epoch == settings_.epochs);
    NoteBad(*validation_, "validation", &bad_validation_);
    best = val && KeepBest(epoch, *val);
  }
  if (!val) {
    info_.step = StepsPerEpoch();
    Leave(WriteCheckpoint(train));
  }
  last_epoch_seconds_ = SecondsSince(epoch_started_ms_);
  TellEpoch(epoch, train, *val, best);
  info_.history.push_back({epoch, train.MeanLoss(), AccuracyOf(train), val->MeanLoss(), AccuracyOf(*val),
                           RatesAt(epoch, StepsPerEpoch()).lr, last_epoch_seconds_});
  times_.training += train.seconds;
  times_.validation += val->seconds;
  schedule_->EpochEnded(val->MeanLoss());
  // A stopped epoch is a part of one: results and report have it, but the checkpoint before it stays to go on from.
  if (stopped) return EpochEnd::kStopped;
  info_.epoch = epoch;
  info_.step = 0;
  const bool wait_over = HasWaitedEnough(epoch);
  const bool due = settings_.checkpoint_every_epochs > 0 && epoch % settings_.checkpoint_every_epochs == 0;
  const StopRequest request = Wanted();
  const bool leave = request == StopRequest::kLeave;
  const bool written = (due || leave) && WriteCheckpoint({});
  if (leave) Leave(written);
  if (request == StopRequest::kFinish) return EpochEnd::kStopped;
  if (wait_over && epoch < settings_.epochs) {
    reporter_.Log(LogLevel::kInfo, "no better epoch than " + std::to_string(info_.best_epoch) + " in " +
                                       std::to_string(settings_.early_stop_epochs) +
                                       ": that is enough (train.early_stop_epochs)");
  }
  return wait_over || epoch == settings_.epochs ? EpochEnd::kLast : EpochEnd::kGoOn;
}

double Trainer::AccuracyOf(const Totals &totals) const {
  return settings_.task == Task::kRegression ? report::kNotMeasured : totals.Accuracy();
}

void Trainer::TellEpoch(int64_t epoch, const Totals &train, const Totals &val, bool best) {
  const bool numbers = settings_.task == Task::kRegression;
  reporter_.Metric("train/loss", epoch, train.MeanLoss());
  if (!numbers) reporter_.Metric("train/accuracy", epoch, train.Accuracy());
  reporter_.Metric("val/loss", epoch, val.MeanLoss());
  if (!numbers) reporter_.Metric("val/accuracy", epoch, val.Accuracy());
  std::string more;
  for (const auto &[name, value] : MetricsOf(settings_.task, *validation_, answers_)) {
    if (!std::isfinite(value)) continue;
    reporter_.Metric(name, epoch, value);
    more += " " + std::string(name).substr(4) + " " + Fixed(value);  // without "val/"
  }
  const auto accuracy = [&](const Totals &totals) {
    return numbers ? std::string() : " accuracy " + Fixed(totals.Accuracy());
  };
  reporter_.Metric("learning_rate", epoch, RatesAt(epoch, StepsPerEpoch()).lr);
  if (learner_->scaler().enabled()) {
    const GradScaler::State scaler = learner_->scaler().state();
    reporter_.Metric("loss_scale", epoch, scaler.scale);
    reporter_.Metric("overflowed_steps", epoch, static_cast<double>(scaler.skipped));
  }
  reporter_.Metric("epoch_seconds", epoch, last_epoch_seconds_);
  reporter_.Metric("images_per_second", epoch, train.Rate());
  reporter_.Log(LogLevel::kInfo, "epoch " + std::to_string(epoch) + "/" + std::to_string(settings_.epochs) +
                                     "  train loss " + Fixed(train.MeanLoss()) + accuracy(train) + "  val loss " +
                                     Fixed(val.MeanLoss()) + accuracy(val) + more + "  " + Fixed(train.Rate(), 0) +
                                     " " + settings_.Noun() + "s/s  " + Duration(last_epoch_seconds_) +
                                     (best ? "  best so far" : ""));
}

void Trainer::EnqueueTraining(int64_t epoch, int64_t first_step) {
  if (device_images_ != nullptr) {
    device_images_->Begin(epoch, first_step);
    return;
  }
  Pass pass;
  pass.pin = device_.is_cuda();
  pass.dataset = train_.get();
  pass.epoch = static_cast<uint32_t>(epoch);
  pass.order = sampler_->Order(pass.epoch);
  // Of the whole epoch, also where a part of it was done before.
  if (sampler_->repeats()) pass.repeats = PartOf(Sampler::RepeatsIn(pass.order, train_->size()), /*padded=*/true);
  pass.order = PartOf(std::move(pass.order), /*padded=*/true);
  const auto done = std::min(pass.order.size(), static_cast<size_t>(first_step * settings_.batch_size));
  pass.order.erase(pass.order.begin(), pass.order.begin() + static_cast<std::ptrdiff_t>(done));
  if (!pass.repeats.empty())
    pass.repeats.erase(pass.repeats.begin(), pass.repeats.begin() + static_cast<std::ptrdiff_t>(done));
  pass.batch_size = settings_.batch_size;
  if (bank_ != nullptr) {
    bank_->Begin(epoch, first_step);
    if (bank_->IsFilled()) return;
    pass.epoch = bank_->view_epoch();
    pass.order = SequentialOrder(train_->size());
    pass.repeats.clear();
    pass.batch_size = WorkerSamples();
  } else if (pure_) {
    pass.batches_per_chunk = std::max<int64_t>(1, WorkerSamples() / settings_.batch_size);
  }
  if (pure_ && compute_in_workers_)
    pass.stage = [model = model_, precision = settings_.precision](const at::Tensor &images) {
      const Autocast autocast(precision, images.device().type());
      return model->features(images);
    };
  loader_->Enqueue(std::move(pass));
}

std::unique_ptr<Chunk> Trainer::NextTraining() {
  if (device_images_ != nullptr) return device_images_->Next();
  if (bank_ == nullptr) return loader_->Next();
  if (!bank_->IsFilled()) {
    const c10::NoGradGuard no_grad;
    const Autocast autocast(settings_.precision, device_.type());
    while (const std::unique_ptr<Chunk> chunk = loader_->Next()) {
      if (settings_.bad_images == BadImages::kFail) NoteBad(*train_, "training", &bad_train_);
      if (!compute_in_workers_ && !chunk->samples.empty()) {
        chunk->inputs = model_->features(chunk->inputs.to(device_)).to(c10::kCPU);
      }
      bank_->Add(*chunk);
    }
    bank_->Filled();
  }
  return bank_->Next();
}

Trainer::PhaseEnd Trainer::TrainPhase(int64_t epoch, Totals *totals) {
  const int64_t start = MonotonicMs();
  if (bank_ != nullptr) {
    TrainHead(model_.get());
  } else {
    model_->train();
  }
  // Of the steps before a resume.
  totals->loss = info_.loss_sum;
  totals->correct = info_.correct;
  totals->images = totals->earlier_images = info_.images;
  int64_t step = info_.step;
  PhaseEnd end = PhaseEnd::kDone;
  while (const std::unique_ptr<Chunk> chunk = end == PhaseEnd::kDone ? NextTraining() : nullptr) {
    if (settings_.bad_images == BadImages::kFail) NoteBad(*train_, "training", &bad_train_);
    at::Tensor inputs = chunk->inputs.to(device_, /*non_blocking=*/true);
    const at::Tensor targets = chunk->targets.to(device_, /*non_blocking=*/true);
    if (pure_ && bank_ == nullptr && !compute_in_workers_ && inputs.size(0) > 0) {
      const c10::NoGradGuard no_grad;
      const Autocast autocast(settings_.precision, device_.type());
      inputs = model_->features(inputs);
    }
    int64_t first = 0;
    for (const int64_t count : chunk->batches) {
      ++step;
      ++info_.global_step;
      StopRequest request = StopRequest::kNone;
      if (count > 0 || ranks_.several())
        request = TrainStep(epoch, step, inputs.narrow(0, first, count), targets.narrow(0, first, count));
      first += count;
      // One process asks after the step: nothing is later by it.
      end = AfterStep(epoch, step, start, ranks_.several() ? request : Wanted(), totals);
      if (end != PhaseEnd::kDone) break;
    }
  }
  if (!ReadSteps(epoch, totals)) return PhaseEnd::kNotFinite;
  totals->seconds = SecondsSince(start);
  info_.loss_sum = 0;
  info_.correct = info_.images = 0;
  if (totals->images == 0 && end == PhaseEnd::kDone) {
    if (AllBad(*train_).size() == train_->size()) {
      const auto bad = train_->bad();
      throw WithCode(Error::Corrupt("none of the " + std::to_string(train_->size()) + " training " + settings_.Noun() +
                                    "s can be read" + (bad.empty() ? "" : "; the first: " + bad.begin()->second)),
                     "data");
    }
    FailNan(epoch, step, settings_.batch_size, std::nan(""));
  }
  return end;
}

StopRequest Trainer::TrainStep(int64_t epoch, int64_t step, const at::Tensor &inputs, const at::Tensor &targets) {
  std::vector<double> wishes = OwnWish();
  const Learner::Outcome outcome = learner_->Step(inputs, targets, RatesAt(epoch, step),
                                                  StepSeed(settings_.seed, epoch, step, ranks_.rank()), &wishes);
  const StopRequest request = WishOf(wishes);
  if (outcome.images == 0) return request;
  if (outcome.overflowed && learner_->scaler().state().skipped == 1) {
    reporter_.Log(LogLevel::kInfo, "a gradient is beyond fp16 in epoch " + std::to_string(epoch) + ", step " +
                                       std::to_string(step) +
                                       ": such steps are left out and halve the loss's scale (usual at the start)");
  }
  if (!outcome.skipped) {
    pending_.push_back({step, outcome.images, outcome});
  } else if (info_.skipped_steps++ == 0) {
    reporter_.Log(LogLevel::kWarning, "the loss is not a finite number in epoch " + std::to_string(epoch) + ", step " +
                                          std::to_string(step) +
                                          ": such steps are left out and counted (train.nan_policy skip)");
  }
  return request;
}

// What is due between two steps: losses, progress, a checkpoint, requests of the host.
Trainer::PhaseEnd Trainer::AfterStep(int64_t epoch, int64_t step, int64_t start_ms, StopRequest request,
                                     Totals *totals) {
  const bool save =
      settings_.checkpoint_every_steps > 0 && step % settings_.checkpoint_every_steps == 0 && step < StepsPerEpoch();
  const bool leave = request == StopRequest::kLeave;
  // On a GPU, reading a value waits for all that was started before: done once in a while only. Ranks read at the same
  // steps: what they find there may send all of them back.
  const bool read = device_.is_cpu() || save || leave || (reporter_.ProgressDue() && !ranks_.several()) ||
                    static_cast<int64_t>(pending_.size()) >= settings_.log_every_steps;
  if (read && !ReadSteps(epoch, totals)) return PhaseEnd::kNotFinite;
  if (reporter_.ProgressDue()) {
    totals->seconds = SecondsSince(start_ms);
    ReportProgress(epoch, "train", step, StepsPerEpoch(), *totals);
  }
  if (save || leave) {
    info_.step = step;
    const bool written = WriteCheckpoint(*totals);
    if (leave) Leave(written);
  }
  return request == StopRequest::kFinish ? PhaseEnd::kStopped : PhaseEnd::kDone;
}

bool Trainer::ReadSteps(int64_t epoch, Totals *totals) {
  const std::vector<PendingStep> pending = std::exchange(pending_, {});
  for (const PendingStep &step : pending) {
    const double loss = step.outcome.loss.item<double>();
    if (!std::isfinite(loss)) {
      if (settings_.nan_policy == NanPolicy::kRollback && rollbacks_ < kMostRollbacks) return false;
      FailNan(epoch, step.step, step.images, loss);
    }
    totals->loss += loss * static_cast<double>(step.images);
    totals->correct += step.outcome.correct.item<int64_t>();
    totals->images += step.images;
    const int64_t global_step = (epoch - 1) * StepsPerEpoch() + step.step;
    if (global_step % settings_.log_every_steps == 0) reporter_.Metric("train/loss_step", global_step, loss);
  }
  return true;
}

// train.nan_policy rollback.
void Trainer::GoBack() {
  loader_->Clear();
  pending_.clear();
  const CheckpointInfo before = std::exchange(info_, NewInfo());
  if (!Resume()) FailNan(before.epoch + 1, before.step + 1, settings_.batch_size, std::nan(""));
  ++rollbacks_;
  const double factor = before.lr_factor / 2;
  info_.lr_factor = factor;
  reporter_.Log(LogLevel::kWarning, "the loss was not a finite number: back to epoch " +
                                        std::to_string(info_.epoch + 1) + ", step " + std::to_string(info_.step + 1) +
                                        ", with the learning rate times " + FormatDouble(factor));
  EnqueueTraining(info_.epoch + 1, info_.step);
}

void Trainer::FailNan(int64_t epoch, int64_t step, int64_t images, double loss) const {
  std::string what = "the loss is " + Fixed(loss) + " in epoch " + std::to_string(epoch) + ", step " +
                     std::to_string(step) + " (" + std::to_string(images) + " " + settings_.Noun() + "s)";
  if (settings_.nan_policy == NanPolicy::kSkip) what += ", as in every step of this epoch";
  if (settings_.nan_policy == NanPolicy::kRollback)
    what += rollbacks_ > 0 ? ", also after going back " + std::to_string(rollbacks_) + " times"
                           : ", and there is no checkpoint to go back to";
  throw Error(
      Status::kEngine,
      what + ": try a smaller optimizer.lr (now " + FormatDouble(RatesAt(epoch, std::max<int64_t>(step, 1)).lr) +
          "), and look at " + (settings_.arrays.empty() ? "transform.mean, transform.std" : "the arrays' sizes") +
          " and the weights" +
          (settings_.nan_policy == NanPolicy::kSkip ? "" : "; train.nan_policy skip leaves single such steps out"),
      {{"code", "nan_loss"}, {"epoch", std::to_string(epoch)}, {"step", std::to_string(step)}});
}

bool Trainer::IsFinite() const {
  for (const auto &[name, tensor] : ChangingState()) {
    if (tensor.is_floating_point() && !at::isfinite(tensor).all().item<bool>()) return false;
  }
  return true;
}

// At info_'s epoch and step. `totals`: of the steps done in the epoch.
bool Trainer::WriteCheckpoint(const Totals &totals) {
  ShareBuffers();
  // With weights that are none there is nothing to go on from; the next loss says so.
  if (!IsFinite()) return false;
  rollbacks_ = 0;
  info_.loss_sum = totals.loss;
  info_.correct = totals.correct;
  info_.images = totals.images;
  info_.bad_images.clear();
  for (const size_t index : AllBad(*train_)) info_.bad_images.push_back(static_cast<int64_t>(index));
  info_.plateau = schedule_->plateau();
  info_.scaler = learner_->scaler().state();
  CheckpointState state;
  state.model = ModelState();
  state.optimizer = learner_->optimizer().state();
  state.average = learner_->average().state();
  const bool current = info_.step == 0 && info_.best_epoch == info_.epoch && settings_.ema_decay == 0;
  if (!current) state.best = best_;
  const int64_t start = MonotonicMs();
  if (ranks_.leads()) checkpoints_.Write(info_, state);
  ranks_.Barrier();  // who goes on, or goes back to it, finds it whole
  times_.checkpoints += SecondsSince(start);
  return true;
}

// The host wants the place.
void Trainer::Leave(bool checkpoint_written) {
  ranks_.Close();
  throw Error(Status::kCanceled,
              "left after epoch " + std::to_string(info_.epoch) + " and " + std::to_string(info_.step) + " steps, " +
                  (checkpoint_written ? "with a checkpoint to go on from"
                                      : "without a checkpoint, for the weights are not finite: the job goes on from "
                                        "the one before, if there is any"),
              {{"code", "left"}});
}

void Trainer::NoteBad(const Dataset &dataset, const char *which, std::set<size_t> *known) const {
  const auto bad = dataset.bad();
  if (bad.empty()) return;
  if (settings_.bad_images == BadImages::kFail) {
    throw Error(Status::kCorrupt,
                "a " + std::string(which) + " " + settings_.Noun() + " cannot be read: " + bad.begin()->second +
                    "; replace or remove it, or set data.bad_images to skip",
                {{"code", "data"}, {"path", dataset.PictureOf(bad.begin()->first)}});
  }
  for (const auto &[index, reason] : bad) {
    if (!known->insert(index).second) continue;
    if (known->size() <= kNamedBadImages) {
      reporter_.LogOwn(LogLevel::kWarning, "left out a " + std::string(which) + " " + settings_.Noun() + ": " + reason);
    } else if (known->size() == kNamedBadImages + 1) {
      reporter_.LogOwn(LogLevel::kWarning, "more " + std::string(which) + " " + settings_.Noun() +
                                               "s cannot be read; they are counted in the metric bad_images");
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
  progress.accuracy = AccuracyOf(totals);
  progress.images_per_second = totals.Rate();
  if (per_epoch > 0) {
    const double left = per_epoch * (1 - done) + per_epoch * static_cast<double>(settings_.epochs - epoch);
    progress.time_left_ms = static_cast<int64_t>(left * 1000);
  }
  reporter_.Report(progress);
}

}  // namespace trainyard
