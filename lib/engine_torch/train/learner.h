// A model that learns: one step over a batch changes its parameters. What a step is made of (the batch's parts, loss,
// clipping, optimizer, moving average) is here; epochs, data and files are the trainer's. With several ranks a batch is
// what all of them have: each brings its part, and all make the same step. Thread rule: one thread.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine_torch/models/classifier.h"
#include "engine_torch/parallel/gradient_buckets.h"
#include "engine_torch/parallel/ranks.h"
#include "engine_torch/train/ema.h"
#include "engine_torch/train/grad_scaler.h"
#include "engine_torch/train/loss.h"
#include "engine_torch/train/optimizer.h"
#include "engine_torch/train/parameters.h"
#include "engine_torch/train/settings.h"
#include "engine_torch/train/step_graph.h"

namespace trainyard {

class Learner {
 public:
  // What the model is given: images; images whose features need no gradient (the frozen backbone of feature mode); or
  // features that were computed before.
  enum class Input { kImages, kFrozenBackbone, kFeatures };

  // `on_smaller_parts` is told when memory ran out and how many images go through the model at once from then on.
  // `ranks` outlives the learner; nullptr: one process.
  Learner(std::shared_ptr<ImageClassifier> model, const TrainSettings &settings, Input input,
          const std::vector<int64_t> &class_images, std::function<void(int64_t images)> on_smaller_parts,
          const Ranks *ranks = nullptr);

  // Tensors that were not waited for: on a GPU, reading them does.
  struct Outcome {
    at::Tensor loss;          // of the whole batch, a mean
    at::Tensor correct;       // images
    bool skipped = false;     // the loss is no finite number (nan_policy skip)
    int64_t images = 0;       // of the whole batch; 0: no rank had one, and nothing was done
    bool overflowed = false;  // fp16: a gradient is none; the loss counts, the parameters stay (train/grad_scaler.h)
  };
  // Whether a step is random (dropout). It then uses LibTorch's generator of the whole process.
  bool draws() const { return draws_; }
  // inputs: [n, ...]; targets: as the loss wants them; both on the model's device. `seed`: of what is random in the
  // step (dropout). With several ranks all call it together, each with its part of the batch, which may be empty;
  // `along`: numbers that are added up over the ranks with what they say to each other anyway, before the step begins.
  // A loss that is no finite number leaves everything as it was (batch norm statistics too) when nan_policy is `skip`.
  Outcome Step(const at::Tensor &inputs, const at::Tensor &targets, const StepRates &rates, uint64_t seed,
               std::vector<double> *along = nullptr);

  at::Tensor Logits(const at::Tensor &inputs) const;
  const Loss &loss() const { return loss_; }
  Optimizer &optimizer() { return *optimizer_; }
  GradScaler &scaler() { return scaler_; }
  MovingAverage &average() { return average_; }
  // Whether steps are repeated from a recording by now.
  bool is_recorded() const { return graph_ != nullptr && graph_->is_recorded(); }

 private:
  // `weight`: of the whole batch.
  Outcome Gradients(const at::Tensor &inputs, const at::Tensor &targets, double weight);
  void AddUp(Outcome *outcome);
  // Changes the parameters by the gradients; false: they stay as they are.
  bool Change(const StepRates &rates, const std::vector<at::Tensor> *device_lr);
  Outcome EagerStep(const at::Tensor &inputs, const at::Tensor &targets, double weight, const StepRates &rates);
  // Nothing: this one has to be done the ordinary way.
  std::optional<Outcome> GraphStep(const at::Tensor &inputs, const at::Tensor &targets, const StepRates &rates);
  void PrepareGraph(const TrainSettings &settings);
  at::Tensor TrainLogits(const at::Tensor &inputs) const;
  bool Shrink(int64_t images);
  void RestoreBuffers();

  const std::shared_ptr<ImageClassifier> model_;
  const Input input_;
  const bool skip_;
  const bool fast_kernels_;
  const Precision precision_;
  const c10::Device device_;
  const double clip_norm_, clip_value_;
  const Loss loss_;
  const std::unique_ptr<Optimizer> optimizer_;
  MovingAverage average_;
  GradScaler scaler_;
  const bool draws_;
  std::unique_ptr<GradientBuckets> buckets_;  // with several ranks
  bool synchronised_ = false;                 // the forward pass waits for the other ranks' (batch norm)
  const Ranks *ranks_;
  std::vector<at::Tensor> buffers_, buffers_before_;
  const std::function<void(int64_t)> on_smaller_parts_;
  std::unique_ptr<StepGraph> graph_;  // none where steps cannot be recorded
  bool changing_ = false;             // the step has got to the parameters
  int64_t part_;                      // images that go through the model at once; 0 = all
};

}  // namespace trainyard
