// A training step that is recorded once and then repeated: on a GPU, starting a small network's kernels one by one
// takes longer than running them. A step's inputs lie in buffers that stay in place, its learning rates in tensors on
// the device; all else about it is fixed, so that batches of another shape, or steps with another momentum, are done
// the ordinary way. The first steps of the right shape are done (for real) on a side stream, then one is recorded.
// Thread rule: one thread at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine_torch/train/graph_capture.h"
#include "engine_torch/train/settings.h"

namespace trainyard {

// Why steps with these settings cannot be recorded: the host reads or decides something in the middle of each. Empty:
// they can. `has_hooks`: the host takes part in the backward pass.
std::string GraphObstacle(const TrainSettings &settings, bool has_hooks);

class StepGraph {
 public:
  static constexpr int64_t kWarmUps = 3;

  struct Result {
    at::Tensor loss, correct;
  };
  // The whole step: forgets the gradients, goes forward and backward and changes the parameters, at the rates in
  // rates(). It is called a few times only, with the same tensors.
  using Work = std::function<Result(const at::Tensor &inputs, const at::Tensor &targets)>;

  // factors: of the learning rate, one for each group of parameters. on_giving_up: told why recording failed.
  StepGraph(std::unique_ptr<GraphCapture> capture, std::vector<double> factors, c10::Device device, Work work,
            std::function<void(const std::string &why)> on_giving_up);

  double momentum() const { return momentum_; }
  const std::vector<at::Tensor> &rates() const { return rates_; }  // float32 scalars, by group
  // Whether Step is for such a batch. The first one decides on the shape and the momentum.
  bool Takes(const at::Tensor &inputs, const at::Tensor &targets, double momentum);
  // Nothing when it cannot be recorded: then nothing was done, and Takes answers false from then on.
  std::optional<Result> Step(const at::Tensor &inputs, const at::Tensor &targets, double lr);
  // Forgets what was recorded: the model changed in a way that steps depend on.
  void Reset();
  bool is_recorded() const { return recorded_; }

 private:
  const std::unique_ptr<GraphCapture> capture_;
  const std::vector<double> factors_;
  std::vector<at::Tensor> rates_;
  const Work work_;
  const std::function<void(const std::string &)> on_giving_up_;
  at::Tensor inputs_, targets_;  // what the recorded step reads
  double momentum_ = 0;
  int64_t warm_ups_ = 0;
  bool recorded_ = false, given_up_ = false;
  Result result_;
};

}  // namespace trainyard
