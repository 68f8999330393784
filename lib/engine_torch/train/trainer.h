// One training job: epochs of training and validation as in PyTorch's transfer-learning tutorial, the best epoch kept,
// checkpoints, resume, and what the host is told meanwhile. What a step does is train/learner.h's.
//
// The frozen backbone of `feature` mode runs in training mode, as in the tutorial. Where that makes no difference
// (HasPureBackbone: each image's features depend on nothing else) the workers compute the features of several batches
// at once, ahead of the steps, and the validation images' features are kept. The steps themselves, their batches and
// their order are the same. With model.cache_features the backbone is in evaluation mode, and its features of the
// training images are kept too (train/feature_bank.h).
//
// With several ranks each has its part of the images; what the ranks decide they decide together (parallel/ranks.h), so
// that all are at the same step, and the first one writes and reports.
//
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine_torch/models/classifier.h"
#include "engine_torch/parallel/ranks.h"
#include "engine_torch/train/answers.h"
#include "engine_torch/train/checkpoint.h"
#include "engine_torch/train/data_sets.h"
#include "engine_torch/train/dataset.h"
#include "engine_torch/train/device_images.h"
#include "engine_torch/train/feature_bank.h"
#include "engine_torch/train/learner.h"
#include "engine_torch/train/loader.h"
#include "engine_torch/train/report.h"
#include "engine_torch/train/run_report.h"
#include "engine_torch/train/sampler.h"
#include "engine_torch/train/schedule.h"
#include "engine_torch/train/settings.h"

namespace trainyard {

class Trainer {
 public:
  Trainer(const TrainSettings &settings, const ty_engine_host *host, bool own_libtorch);
  ~Trainer();

  void Run();

 private:
  void Train();
  struct Totals {
    double loss = 0;  // summed over samples
    int64_t correct = 0;
    int64_t images = 0;
    int64_t earlier_images = 0;  // of them, by an earlier process
    double seconds = 0;

    double MeanLoss() const { return images > 0 ? loss / static_cast<double>(images) : 0; }
    // Of no meaning where numbers are learnt.
    double Accuracy() const { return images > 0 ? static_cast<double>(correct) / static_cast<double>(images) : 0; }
    double Rate() const { return seconds > 0 ? static_cast<double>(images - earlier_images) / seconds : 0; }
  };
  // Samples that a worker takes through (a part of) the model at once: enough to be efficient, few enough to stay in
  // the CPU's caches. Of small ones as many as have kWorkerFloats.
  static constexpr int64_t kWorkerSamples = 16;
  static constexpr int64_t kWorkerFloats = 32768;
  int64_t WorkerSamples() const;
  // A step whose loss was not read from the device yet.
  struct PendingStep {
    int64_t step = 0;  // of the epoch, from 1
    int64_t images = 0;
    Learner::Outcome outcome;
  };
  // How the training part of an epoch ended.
  enum class PhaseEnd {
    kDone,
    kStopped,    // asked to end well
    kNotFinite,  // the loss, and there is a checkpoint to go back to
  };

  static double SecondsSince(int64_t start_ms);

  // trainer.cc: before and after the epochs
  void OpenData();
  void PrepareMachine();
  void FillDevice();
  void PrepareModel(const std::string &weights_path);
  void LogStart() const;
  bool Resume();
  void Finish(int64_t epochs_done, bool stopped);
  // `epochs_done`: what is in the report is told as metrics, too, with this step.
  void LeaveReport(report::Ending ending, const std::string &message, std::optional<int64_t> epochs_done) const;
  void TellResults(int64_t epochs_done, const report::TrainingReport &run) const;
  CheckpointInfo NewInfo() const;

  // trainer_ranks.cc: what ranks do together; of one process, nothing
  void MeetRanks();
  void CheckSameData() const;
  void CheckSamePosition() const;
  void CheckSameWeights() const;
  void ShareBuffers() const;
  // What the host of any rank wants.
  StopRequest Wanted() const;
  // The same by way of a sum over the ranks: what this one adds, and what the sum says.
  std::vector<double> OwnWish() const;
  static StopRequest WishOf(const std::vector<double> &sum);
  void AddUp(Totals *totals);
  // Bad samples that any rank met.
  std::set<size_t> AllBad(const Dataset &dataset) const;
  template <typename Value>
  std::vector<Value> PartOf(std::vector<Value> order, bool padded) const {
    return PartOfRank(std::move(order), ranks_.rank(), ranks_.count(), padded);
  }

  // trainer_epoch.cc: the epochs
  enum class EpochEnd { kGoOn, kLast, kStopped, kAgain };
  EpochEnd RunEpoch(int64_t epoch);
  void TellEpoch(int64_t epoch, const Totals &train, const Totals &val, bool best);
  // NaN where numbers are learnt.
  double AccuracyOf(const Totals &totals) const;
  bool HasWaitedEnough(int64_t epoch) const;
  void EnqueueTraining(int64_t epoch, int64_t first_step);
  std::unique_ptr<Chunk> NextTraining();
  PhaseEnd TrainPhase(int64_t epoch, Totals *totals);
  // What the host of any rank wanted when the step began: asked for with the step, not in a message of its own.
  StopRequest TrainStep(int64_t epoch, int64_t step, const at::Tensor &inputs, const at::Tensor &targets);
  // False: a loss was not finite, and training may go back.
  bool ReadSteps(int64_t epoch, Totals *totals);
  PhaseEnd AfterStep(int64_t epoch, int64_t step, int64_t start_ms, StopRequest request, Totals *totals);
  // False: nothing was written, for the state is not finite.
  bool WriteCheckpoint(const Totals &totals);
  // Ends this process' part of the job; another one goes on from the last checkpoint.
  [[noreturn]] void Leave(bool checkpoint_written);
  void GoBack();
  bool IsFinite() const;
  void NoteBad(const Dataset &dataset, const char *which, std::set<size_t> *known) const;
  void ReportProgress(int64_t epoch, const char *phase, int64_t step, int64_t steps, const Totals &totals);
  [[noreturn]] void FailNan(int64_t epoch, int64_t step, int64_t images, double loss) const;
  int64_t SamplesPerRank() const;
  int64_t StepsPerEpoch() const;
  StepRates RatesAt(int64_t epoch, int64_t step) const;

  // trainer_evaluate.cc: the validation images, and which epoch is the best
  // Unless this is the `last` epoch, the loader is given the next one's images before the waiting begins. Nothing: the
  // host wants the place.
  std::optional<Totals> Evaluate(int64_t epoch, bool last);
  void EnqueueValidation();
  int64_t ValidationBatch() const;
  bool EvaluateImages(int64_t epoch, int64_t start_ms, Totals *totals);
  void EvaluateChunk(const Chunk &chunk, bool staged, Totals *totals);
  bool IsBetter(const Totals &val) const;
  bool KeepBest(int64_t epoch, const Totals &val);

  NamedState ModelState() const;
  NamedState ChangingState() const;  // the part of it that training changes

  TrainSettings settings_;
  const ty_engine_host *host_;
  bool own_libtorch_;
  Reporter reporter_;
  Ranks ranks_;
  c10::Device device_;
  std::shared_ptr<MemoryBudget> budget_;
  std::unique_ptr<Dataset> train_;
  std::unique_ptr<Dataset> validation_;
  std::unique_ptr<Sampler> sampler_;
  std::shared_ptr<ImageClassifier> model_;
  bool pure_ = false;                // feature mode with a pure backbone: chunks hold features
  bool compute_in_workers_ = false;  // the loader's workers run the stages
  std::unique_ptr<Learner> learner_;
  std::unique_ptr<Schedule> schedule_;
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<FeatureBank> bank_;            // with model.cache_features; then chunks of training are made by it
  std::unique_ptr<DeviceImages> device_images_;  // with data.cache gpu; then chunks of training are made by it
  CheckpointDirectory checkpoints_;
  CheckpointInfo info_;
  int64_t rollbacks_ = 0;  // since a checkpoint was written
  NamedState best_;        // copies of ChangingState() after the best epoch
  std::vector<Chunk> validation_features_;
  bool validation_kept_ = false;
  std::vector<PendingStep> pending_;
  Verdicts verdicts_;       // of the last evaluation
  Verdicts best_verdicts_;  // of the best epoch; empty when another process evaluated it
  Answers answers_;         // the same two, of tasks other than classification
  Answers best_answers_;
  RunTimes times_;
  std::set<size_t> bad_train_;
  std::set<size_t> bad_validation_;
  int64_t epoch_started_ms_ = 0;
  double last_epoch_seconds_ = 0;
};

}  // namespace trainyard
