#include <c10/core/GradMode.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "engine_torch/train/failure.h"
#include "engine_torch/train/precision.h"
#include "engine_torch/train/sampler.h"
#include "engine_torch/train/trainer.h"
#include "util/clock.h"

namespace trainyard {

std::optional<Trainer::Totals> Trainer::Evaluate(int64_t epoch, bool last) {
  const int64_t start = MonotonicMs();
  const c10::NoGradGuard no_grad;
  const Autocast autocast(settings_.precision, device_.type());
  ShareBuffers();
  model_->eval();
  Totals totals;
  if (settings_.task == Task::kClassification) {
    verdicts_.assign(validation_->size(), {});
  } else {
    answers_ = Answers(validation_->size(), validation_->classes().size());
  }
  if (!validation_kept_) EnqueueValidation();
  // What the next epoch needs first does not depend on this one's end.
  if (!last) EnqueueTraining(epoch + 1, 0);
  if (validation_kept_) {
    for (const Chunk &chunk : validation_features_) EvaluateChunk(chunk, true, &totals);
  } else if (!EvaluateImages(epoch, start, &totals)) {
    return std::nullopt;
  }
  AddUp(&totals);
  totals.seconds = SecondsSince(start);
  if (totals.images == 0) {
    const auto bad = validation_->bad();
    throw WithCode(
        Error::Corrupt("none of the " + std::to_string(validation_->size()) + " validation " + settings_.Noun() +
                       "s can be read" + (bad.empty() ? "" : "; the first: " + bad.begin()->second)),
        "data");
  }
  ReportProgress(epoch, "val", 1, 1, totals);
  return totals;
}

int64_t Trainer::ValidationBatch() const {
  return compute_in_workers_ ? std::min(settings_.evaluate_batch_size, WorkerSamples()) : settings_.evaluate_batch_size;
}

void Trainer::EnqueueValidation() {
  Pass pass;
  pass.pin = device_.is_cuda();
  pass.dataset = validation_.get();
  pass.order = PartOf(SequentialOrder(validation_->size()), /*padded=*/false);
  pass.batch_size = ValidationBatch();
  if (compute_in_workers_) {
    pass.stage = [model = model_, pure = pure_, precision = settings_.precision](const at::Tensor &images) {
      const Autocast autocast(precision, images.device().type());
      return pure ? model->features(images) : model->forward(images);
    };
  }
  loader_->Enqueue(std::move(pass));
}

// False: the host wants the place.
bool Trainer::EvaluateImages(int64_t epoch, int64_t start_ms, Totals *totals) {
  // The first rank has the most; the others look for requests as often.
  const int64_t images = (static_cast<int64_t>(validation_->size()) + ranks_.count() - 1) / ranks_.count();
  const int64_t steps = (images + ValidationBatch() - 1) / ValidationBatch();
  bool keep = pure_;
  int64_t step = 0;
  while (std::unique_ptr<Chunk> chunk = loader_->Next()) {
    if (settings_.bad_images == BadImages::kFail) NoteBad(*validation_, "validation", &bad_validation_);
    chunk->inputs = chunk->inputs.to(device_, /*non_blocking=*/true);
    chunk->targets = chunk->targets.to(device_, /*non_blocking=*/true);
    if (pure_ && !compute_in_workers_ && chunk->inputs.size(0) > 0) chunk->inputs = model_->features(chunk->inputs);
    if (Wanted() == StopRequest::kLeave) return false;
    EvaluateChunk(*chunk, pure_ || compute_in_workers_, totals);
    totals->seconds = SecondsSince(start_ms);
    ++step;
    if (reporter_.ProgressDue()) ReportProgress(epoch, "val", step, steps, *totals);
    keep = keep && chunk->inputs.is_cpu() && budget_->Take(chunk->inputs.nbytes());
    if (keep) validation_features_.push_back(std::move(*chunk));
  }
  for (; ranks_.several() && step < steps; ++step) {
    if (Wanted() == StopRequest::kLeave) return false;
  }
  keep = !ranks_.Any(!keep);
  validation_kept_ = keep;
  if (!keep) validation_features_.clear();
  return true;
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
  const Loss &loss = learner_->loss();
  totals->loss +=
      loss.Sum(logits, chunk.targets).item<double>() / loss.Weight(chunk.targets) * static_cast<double>(images);
  totals->correct += loss.Correct(logits, chunk.targets).item<int64_t>();
  totals->images += images;
  if (settings_.task == Task::kClassification) {
    AddVerdicts(logits, chunk.targets, chunk.samples, &verdicts_);
  } else {
    answers_.Add(logits, chunk.samples);
  }
}

bool Trainer::IsBetter(const Totals &val) const {
  const double accuracy = val.Accuracy(), loss = val.MeanLoss();
  switch (settings_.task) {
    case Task::kClassification:
      break;
    case Task::kMultilabel:
      // All labels of an image right: in the first epochs that is often none at all.
      return accuracy > info_.best_val_accuracy || (accuracy == info_.best_val_accuracy && loss < info_.best_val_loss);
    case Task::kRegression:
      return loss < info_.best_val_loss;
  }
  return accuracy > info_.best_val_accuracy;
}

// True when it is the best so far.
bool Trainer::KeepBest(int64_t epoch, const Totals &val) {
  if (!IsBetter(val)) return false;
  info_.best_val_accuracy = AccuracyOf(val);
  info_.best_val_loss = val.MeanLoss();
  info_.best_epoch = epoch;
  best_verdicts_ = verdicts_;
  best_answers_ = answers_;
  best_.clear();
  for (const auto &[name, tensor] : ChangingState()) best_.emplace_back(name, tensor.detach().clone());
  return true;
}

}  // namespace trainyard
