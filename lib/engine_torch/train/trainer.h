// One training job: epochs of training and validation as in PyTorch's transfer-learning tutorial, the best epoch kept,
// checkpoints, resume, and what the host is told meanwhile.
//
// The frozen backbone of `feature` mode runs in training mode, as in the tutorial. Where that makes no difference
// (HasPureBackbone: each image's features depend on nothing else) the workers compute the features of several batches
// at once, ahead of the steps, and the validation images' features are kept. The steps themselves, their batches and
// their order are the same.
//
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine_torch/models/classifier.h"
#include "engine_torch/train/checkpoint.h"
#include "engine_torch/train/dataset.h"
#include "engine_torch/train/folders.h"
#include "engine_torch/train/loader.h"
#include "engine_torch/train/report.h"
#include "engine_torch/train/settings.h"
#include "engine_torch/train/sgd.h"

namespace trainyard {

class Trainer {
 public:
  Trainer(const TrainSettings &settings, const ty_engine_host *host, bool own_libtorch);
  ~Trainer();

  void Run();

 private:
  struct Totals {
    double loss = 0;  // summed over images
    int64_t correct = 0;
    int64_t images = 0;
    double seconds = 0;

    double MeanLoss() const { return images > 0 ? loss / static_cast<double>(images) : 0; }
    double Accuracy() const { return images > 0 ? static_cast<double>(correct) / static_cast<double>(images) : 0; }
    double Rate() const { return seconds > 0 ? static_cast<double>(images) / seconds : 0; }
  };
  // A step whose loss was not read from the device yet.
  struct PendingStep {
    int64_t step = 0;  // of the epoch, from 1
    int64_t images = 0;
    at::Tensor loss;
    at::Tensor correct;
  };

  // trainer.cc: before and after the epochs
  void PrepareMachine();
  void PrepareModel(const std::string &weights_path);
  void LogStart() const;
  void Resume();
  void Finish(int64_t epochs_done, bool stopped);
  CheckpointInfo NewInfo() const;

  // trainer_epoch.cc: the epochs
  bool RunEpoch(int64_t epoch);  // true: asked to stop
  void EnqueueTraining(int64_t epoch);
  Totals TrainPhase(int64_t epoch, bool *stopped);
  void TrainStep(int64_t epoch, int64_t step, const at::Tensor &inputs, const at::Tensor &targets, Totals *totals);
  at::Tensor Logits(const at::Tensor &inputs);
  void ReadSteps(int64_t epoch, Totals *totals);
  // Unless this is the `last` epoch, the loader is given the next one's images before the waiting begins.
  Totals Evaluate(int64_t epoch, bool last);
  void EvaluateChunk(const Chunk &chunk, bool staged, Totals *totals);
  void KeepBest(int64_t epoch, double accuracy);
  void WriteCheckpoint(int64_t epoch);
  void NoteBadImages(const Dataset &dataset, const char *which, std::set<size_t> *known) const;
  void ReportProgress(int64_t epoch, const char *phase, int64_t step, int64_t steps, const Totals &totals);
  [[noreturn]] void FailNan(int64_t epoch, int64_t step, int64_t images, double loss) const;

  NamedState ModelState() const;
  NamedState ChangingState() const;  // the part of it that training changes

  TrainSettings settings_;
  const ty_engine_host *host_;
  bool own_libtorch_;
  Reporter reporter_;
  c10::Device device_;
  std::shared_ptr<MemoryBudget> budget_;
  std::unique_ptr<Dataset> train_;
  std::unique_ptr<Dataset> validation_;
  std::shared_ptr<ImageClassifier> model_;
  bool pure_ = false;                // feature mode with a pure backbone: chunks hold features
  bool compute_in_workers_ = false;  // the loader's workers run the stages
  std::unique_ptr<Sgd> sgd_;
  std::unique_ptr<Loader> loader_;
  CheckpointDirectory checkpoints_;
  CheckpointInfo info_;
  NamedState best_;  // copies of ChangingState() after the best epoch
  std::vector<Chunk> validation_features_;
  bool validation_kept_ = false;
  std::vector<PendingStep> pending_;
  std::set<size_t> bad_train_;
  std::set<size_t> bad_validation_;
  int64_t epoch_started_ms_ = 0;
  double last_epoch_seconds_ = 0;
  double progress_loss_ = 0;
};

}  // namespace trainyard
