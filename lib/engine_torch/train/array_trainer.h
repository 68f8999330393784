// A model that learns from the host's own memory, step by step, in the host's process: what is behind ty_trainer. No
// files are read or written but those it is told to, and nothing of LibTorch's process-wide settings is changed after
// it is made. Thread rule: any thread; calls wait for each other.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine_torch/train/checkpoint.h"
#include "engine_torch/train/learner.h"
#include "engine_torch/train/schedule.h"
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

  // A checkpoint file: all that is needed to go on bit by bit; and from it.
  void Save(const std::string &path);
  void Load(const std::string &path);
  // The weights alone, as .safetensors.
  void SaveWeights(const std::string &path);

 private:
  CheckpointInfo NewInfo() const;
  CheckpointState State() const;
  // For one call: alone, and with the thread count of the settings.
  std::unique_lock<std::mutex> Enter();
  at::Tensor Input(const DLTensor &tensor);
  at::Tensor Target(const DLTensor &tensor) const;
  void CheckSamples(const at::Tensor &input);

  std::mutex mutex_;
  const TrainSettings settings_;
  c10::Device device_;
  const int threads_;  // 0 = as they are
  std::shared_ptr<ImageClassifier> model_;
  std::unique_ptr<Learner> learner_;
  std::unique_ptr<Schedule> schedule_;
  int64_t epoch_ = 1, step_ = 0;       // of the epoch, done
  std::vector<int64_t> sample_shape_;  // that went through the model
};

}  // namespace trainyard
