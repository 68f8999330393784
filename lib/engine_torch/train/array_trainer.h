// A model that learns from the host's own memory, step by step or in a fit over epochs, in the host's process: what is
// behind ty_trainer. No files are read or written but those it is told to, and nothing of LibTorch's process-wide
// settings is changed after it is made. Thread rule: any thread; calls wait for each other, a fit's steps too. While a
// fit is under way, what would change the model under it is refused, and the host is asked with no lock held.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine_torch/train/checkpoint.h"
#include "engine_torch/train/learner.h"
#include "engine_torch/train/schedule.h"
#include "engine_torch/train/tally.h"
#include "trainyard/dlpack.h"

namespace trainyard {

class ArrayTrainer {
 public:
  // weights_path: a file of weights, or "". own_libtorch: the process-wide allocator may be set.
  ArrayTrainer(const std::string &config_json, const std::string &weights_path, bool own_libtorch);

  // inputs: [n, ...] float32 (others are converted); targets: as the loss wants them (train/loss.h). Both are borrowed
  // for the call. Answers the batch's loss when it is wanted; else the step is not waited for on a GPU.
  void Step(const DLTensor &inputs, const DLTensor &targets, double *loss);
  // The mean loss, and the share of samples that are right (NaN where numbers are learnt), without changing anything.
  void Evaluate(const DLTensor &inputs, const DLTensor &targets, double *loss, double *accuracy);
  // The model's outputs as float32, [n, ...] in C order; `count` is the room in `outputs`.
  void Predict(const DLTensor &inputs, float *outputs, size_t count);
  // The next epoch begins: schedules go on. validation_loss: of use to `plateau`; may be NaN.
  void EndEpoch(double validation_loss);

  // array_trainer_fit.cc: epochs up to train.epochs with the batches that `host` gives, from where the trainer stands.
  // However it ends, the weights of the best epoch are in the model then, if there is one; what training goes on from
  // is kept beside them, for the next fit and for checkpoints.
  ty_engine_fit_summary Fit(const ty_engine_fit_host &host);
  // The fit that is under way, or else the next one, ends after its step. Also from a signal handler.
  void RequestStop() noexcept { stop_ = true; }

  // A checkpoint file: all that is needed to go on bit by bit; and from it.
  void Save(const std::string &path);
  void Load(const std::string &path);
  // The weights alone, as .safetensors.
  void SaveWeights(const std::string &path);

 private:
  // The epoch with the lowest validation loss of a fit.
  struct Best {
    int64_t epoch = 0;  // 0 = there is none
    double loss = std::numeric_limits<double>::infinity();
    NamedState weights;  // of Evaluated()
  };
  // What the model made of a batch, not waited for.
  struct Measured {
    at::Tensor loss;  // a sum
    double weight = 0;
    at::Tensor correct;
    int64_t samples = 0;
  };

  CheckpointInfo NewInfo() const;
  CheckpointState State() const;
  CheckpointState LatestState() const;
  // What predictions are made with, and training changes: parameters (or their moving averages) and buffers.
  NamedState Evaluated() const;
  static NamedState Copies(const NamedState &state);
  // For one call: alone, and with the thread count of the settings.
  std::unique_lock<std::mutex> Enter();
  // The same, for what changes the model or where it stands.
  std::unique_lock<std::mutex> EnterToChange();
  at::Tensor Input(const DLTensor &tensor);
  at::Tensor Target(const DLTensor &tensor) const;
  void CheckSamples(const at::Tensor &input);
  // Inside Enter().
  Learner::Outcome Learn(const DLTensor &inputs, const DLTensor &targets);
  Measured Measure(const DLTensor &inputs, const DLTensor &targets);
  void NextEpoch(double validation_loss);
  bool CountsRight() const;
  bool BestIsLatest() const { return best_.epoch == epoch_ - 1 && step_ == 0; }

  // array_trainer_fit.cc
  struct Batch {
    const DLTensor *inputs = nullptr, *targets = nullptr;
  };
  void CheckFit() const;
  void BeginFit();
  void EndFit(bool finished);
  int32_t RunEpochs(const ty_engine_fit_host &host, ty_engine_fit_summary *summary);
  // These two: false, the fit was asked to stop.
  bool TrainEpoch(const ty_engine_fit_host &host, ty_engine_fit_summary *summary);
  bool ValidateEpoch(const ty_engine_fit_host &host, Tally *tally);
  ty_engine_fit_epoch EpochDone(const Tally &validation);
  std::optional<Batch> NextBatch(const ty_engine_fit_host &host, int32_t phase, int64_t step) const;
  void FitStep(const Batch &batch, ty_engine_fit_summary *summary);
  void CheckLosses() const;
  [[noreturn]] void FailNan(const Tally::Bad &bad, bool all) const;
  void KeepBest(double loss);
  void PutBest();
  std::string Place(int32_t phase, int64_t step) const;
  Tally NewTally() const;

  std::mutex mutex_;
  const TrainSettings settings_;
  c10::Device device_;
  const int threads_;  // 0 = as they are
  std::shared_ptr<ImageClassifier> model_;
  std::unique_ptr<Learner> learner_;
  std::unique_ptr<Schedule> schedule_;
  int64_t epoch_ = 1, step_ = 0;       // of the epoch, done
  std::vector<int64_t> sample_shape_;  // that went through the model
  // Of fits.
  bool fitting_ = false;   // one is under way
  bool finished_ = false;  // the last one did all that was to do: the next one begins anew
  std::atomic<bool> stop_{false};
  static_assert(std::atomic<bool>::is_always_lock_free, "signal handlers write it");
  Tally tally_;        // of the epoch's steps
  Best best_;          // so far
  NamedState latest_;  // of Evaluated(), what training goes on from, where the weights of the best epoch took its place
};

}  // namespace trainyard
