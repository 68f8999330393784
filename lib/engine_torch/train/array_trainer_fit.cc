#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <exception>
#include <limits>
#include <utility>

#include "engine_torch/train/array_trainer.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

void CopyInto(const NamedState &to, const NamedState &from) {
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < to.size(); ++i) to[i].second.copy_(from[i].second);
}

[[noreturn]] void FailCallback(const std::string &what) {
  throw Error(Status::kCanceled, what, {{"code", "callback"}});
}

// An error of this library gets the place where it came up; to make its name would cost each step something.
template <typename Place, typename Work>
auto Naming(Place place, Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const Error &error) {
    throw Error(error.status(), place() + ": " + error.what(), error.details());
  }
}

}  // namespace

std::string ArrayTrainer::Place(int32_t phase, int64_t step) const {
  return "epoch " + std::to_string(epoch_) + (phase == TY_ENGINE_FIT_TRAIN ? ", step " : ", validation batch ") +
         std::to_string(step);
}

Tally ArrayTrainer::NewTally() const {
  return {device_.is_cpu() ? 0 : settings_.log_every_steps, CountsRight()};
}

void ArrayTrainer::CheckFit() const {
  const auto refuse = [](const char *key, const char *message) {
    throw Error::InvalidArgument(std::string("setting '") + key + "' " + message, {{"key", key}});
  };
  if (settings_.nan_policy == NanPolicy::kRollback) {
    refuse("train.nan_policy", "must be fail or skip in a fit: there are no checkpoints to go back to");
  }
  if (settings_.schedule.warmup_steps > 1 && settings_.epochs > 1 && settings_.steps_per_epoch == 0) {
    refuse("train.steps_per_epoch", "must be set for a fit with schedule.warmup_steps: its length is in steps");
  }
}

void ArrayTrainer::BeginFit() {
  const auto alone = EnterToChange();
  CheckFit();
  if (finished_ || epoch_ > settings_.epochs) {
    epoch_ = 1;
    step_ = 0;
    schedule_->Restore({});
    tally_.Restart({});
    best_ = {};
    finished_ = false;
  } else if (!latest_.empty()) {
    CopyInto(Evaluated(), latest_);
  }
  latest_.clear();
  fitting_ = true;
}

void ArrayTrainer::EndFit(bool finished) {
  const auto alone = Enter();
  fitting_ = false;
  finished_ = finished;
  stop_ = false;
  tally_.Read();
  PutBest();
}

ty_engine_fit_summary ArrayTrainer::Fit(const ty_engine_fit_host &host) {
  BeginFit();
  ty_engine_fit_summary summary = {};
  try {
    summary.ending = RunEpochs(host, &summary);
  } catch (...) {
    try {
      EndFit(/*finished=*/false);
    } catch (const std::exception &failure) {  // the first one is the one to tell
      Log(LogLevel::kWarning,
          std::string("the weights of the best epoch could not be put into the trainer: ") + failure.what());
    }
    throw;
  }
  summary.epochs = epoch_ - 1;
  summary.best_epoch = best_.epoch;
  summary.best_validation_loss = best_.epoch > 0 ? best_.loss : kNone;
  EndFit(/*finished=*/summary.ending != TY_ENGINE_FIT_STOPPED);
  return summary;
}

// Between a fit's beginning and its end nobody else changes epoch_, step_ and best_: what reads them needs no lock.
int32_t ArrayTrainer::RunEpochs(const ty_engine_fit_host &host, ty_engine_fit_summary *summary) {
  for (;;) {
    const int64_t start = MonotonicMs();
    Tally validation = NewTally();
    if (!TrainEpoch(host, summary) || !ValidateEpoch(host, &validation)) return TY_ENGINE_FIT_STOPPED;
    ty_engine_fit_epoch epoch = EpochDone(validation);
    epoch.seconds = static_cast<double>(MonotonicMs() - start) / 1000;
    const int32_t answer = host.on_epoch(host.user, &epoch);
    if (answer == TY_ENGINE_FIT_FAIL) FailCallback("on_epoch failed after epoch " + std::to_string(epoch.epoch));
    if (epoch.epoch >= settings_.epochs) return TY_ENGINE_FIT_DONE;
    if (settings_.early_stop_epochs > 0 && best_.epoch > 0 && epoch.epoch - best_.epoch >= settings_.early_stop_epochs)
      return TY_ENGINE_FIT_EARLY_STOP;
    if (answer == TY_ENGINE_FIT_END) return TY_ENGINE_FIT_STOPPED;
  }
}

std::optional<ArrayTrainer::Batch> ArrayTrainer::NextBatch(const ty_engine_fit_host &host, int32_t phase,
                                                           int64_t step) const {
  Batch batch;
  const int32_t answer = host.next_batch(host.user, phase, epoch_, step, &batch.inputs, &batch.targets);
  if (answer == TY_ENGINE_FIT_END) return std::nullopt;
  if (answer != TY_ENGINE_FIT_GO_ON) FailCallback("next_batch failed in " + Place(phase, step));
  if (batch.inputs == nullptr || batch.targets == nullptr) {
    throw Error::InvalidArgument("next_batch answered TY_OK without inputs and targets in " + Place(phase, step));
  }
  return batch;
}

bool ArrayTrainer::TrainEpoch(const ty_engine_fit_host &host, ty_engine_fit_summary *summary) {
  while (!stop_) {
    const std::optional<Batch> batch = NextBatch(host, TY_ENGINE_FIT_TRAIN, step_ + 1);
    if (!batch) break;
    FitStep(*batch, summary);
  }
  // Also where the host ended the phase for it: the epoch is not whole.
  if (stop_) return false;
  const auto alone = Enter();
  tally_.Read();
  CheckLosses();
  if (step_ == 0) {
    throw Error::InvalidArgument("next_batch gave no batch to learn from in epoch " + std::to_string(epoch_) +
                                 ": to end the fit, let on_epoch answer TY_END or call ty_trainer_request_stop");
  }
  const Tally::Totals &totals = tally_.totals();
  if (totals.samples == 0 && totals.skipped > 0) FailNan({step_, 0, kNone}, /*all=*/true);
  return true;
}

void ArrayTrainer::FitStep(const Batch &batch, ty_engine_fit_summary *summary) {
  const auto alone = Enter();
  const Learner::Outcome outcome = Naming([&] { return Place(TY_ENGINE_FIT_TRAIN, step_ + 1); },
                                          [&] { return Learn(*batch.inputs, *batch.targets); });
  ++summary->steps;
  if (!outcome.skipped) {
    tally_.Add(step_, outcome.images, outcome.loss, 1, outcome.correct);
    CheckLosses();
    return;
  }
  tally_.Skip();
  if (summary->skipped_steps++ == 0) {
    Log(LogLevel::kWarning, "the loss is not a finite number in " + Place(TY_ENGINE_FIT_TRAIN, step_) +
                                ": such steps are left out and counted (train.nan_policy skip)");
  }
}

void ArrayTrainer::CheckLosses() const {
  if (tally_.bad()) FailNan(*tally_.bad(), /*all=*/false);
}

void ArrayTrainer::FailNan(const Tally::Bad &bad, bool all) const {
  throw Error(Status::kEngine,
              "the loss is " + FormatDouble(bad.loss) + " in " + Place(TY_ENGINE_FIT_TRAIN, bad.step) +
                  (all ? ", as in every step of this epoch" : "") + ": try a smaller optimizer.lr (now " +
                  FormatDouble(schedule_->At(epoch_, bad.step).lr) + "), and look at the inputs and targets" +
                  (all ? "" : "; train.nan_policy skip leaves single such steps out"),
              {{"code", "nan_loss"}});
}

bool ArrayTrainer::ValidateEpoch(const ty_engine_fit_host &host, Tally *tally) {
  for (int64_t step = 1; !stop_; ++step) {
    const std::optional<Batch> batch = NextBatch(host, TY_ENGINE_FIT_VALIDATION, step);
    if (!batch) break;
    const auto alone = Enter();
    const Measured measured = Naming([&] { return Place(TY_ENGINE_FIT_VALIDATION, step); },
                                     [&] { return Measure(*batch->inputs, *batch->targets); });
    tally->Add(step, measured.samples, measured.loss, measured.weight, measured.correct);
  }
  const auto alone = Enter();
  tally->Read();
  return !stop_;
}

ty_engine_fit_epoch ArrayTrainer::EpochDone(const Tally &validation) {
  const auto alone = Enter();
  const bool measured = validation.totals().samples > 0;
  const double loss = measured ? validation.MeanLoss() : kNone;
  ty_engine_fit_epoch epoch = {};
  // Without validation it is the last epoch that is kept.
  epoch.is_best = measured ? loss < best_.loss : best_.epoch == 0;
  if (measured && epoch.is_best != 0) KeepBest(loss);
  epoch.epoch = epoch_;
  epoch.epochs = settings_.epochs;
  epoch.steps = step_;
  epoch.skipped_steps = tally_.totals().skipped;
  epoch.train_loss = tally_.MeanLoss();
  epoch.train_accuracy = tally_.Accuracy();
  epoch.validation_loss = loss;
  epoch.validation_accuracy = measured ? validation.Accuracy() : kNone;
  epoch.learning_rate = schedule_->At(epoch_, step_).lr;
  const bool wanted = settings_.early_stop_epochs > 0 || settings_.schedule.kind == ScheduleKind::kPlateau;
  if (wanted && !measured && epoch_ == 1) {
    Log(LogLevel::kWarning,
        "there are no batches to validate with: train.early_stop_epochs and schedule.name plateau do nothing without");
  }
  NextEpoch(loss);
  return epoch;
}

void ArrayTrainer::KeepBest(double loss) {
  best_.epoch = epoch_;
  best_.loss = loss;
  const NamedState now = Evaluated();
  if (best_.weights.empty()) {
    best_.weights = Copies(now);
  } else {
    CopyInto(best_.weights, now);
  }
}

void ArrayTrainer::PutBest() {
  if (best_.epoch == 0 || BestIsLatest()) return;
  const NamedState now = Evaluated();
  latest_ = Copies(now);
  CopyInto(now, best_.weights);
}

}  // namespace trainyard
