// The optimizers, with torch.optim's formulas and defaults. State is kept per parameter, under names, so that a
// checkpoint holds it like the model's own tensors. SGD, Adam and AdamW are LibTorch's fused kernels: one pass over all
// parameters. Thread rule: one thread at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine_torch/train/settings.h"

namespace trainyard {

using NamedState = std::vector<std::pair<std::string, at::Tensor>>;

// Parameters that share their rates.
struct ParameterGroup {
  NamedState parameters;
  double lr_factor = 1;  // times the schedule's rate
};

// What changes from step to step; the schedule says it.
struct StepRates {
  double lr = 0;
  double momentum = 0;  // of SGD and RMSprop; of Adam and AdamW: beta1
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // Parameters without a gradient are left out. device_lr: nullptr, or the rates of the groups as float32 scalars on
  // their device, in rates.lr's place; not every optimizer reads them from there (train/step_graph.h).
  void Step(const StepRates &rates, const std::vector<at::Tensor> *device_lr = nullptr);
  void ZeroGradients();

  // "momentum.<parameter>", "exp_avg.<parameter>", ...: written to by a resume.
  const NamedState &state() const { return state_; }
  const std::vector<ParameterGroup> &groups() const { return groups_; }

 protected:
  // The parameters of one group that have a gradient, and what belongs to each, in the same order.
  struct Batch {
    std::vector<at::Tensor> parameters, gradients;
    std::vector<std::vector<at::Tensor>> state;  // one list for each of StateNames()
  };

  // `state_names`: tensors like the parameter that are kept for each. `counts_steps`: the last of them is a number.
  Optimizer(const OptimizerSettings &settings, std::vector<ParameterGroup> groups,
            const std::vector<std::string> &state_names, bool counts_steps);
  // `device_lr`, where it is defined, takes the place of `lr`.
  virtual void Apply(const Batch &batch, double lr, const at::Tensor &device_lr, double momentum) = 0;

  const OptimizerSettings settings_;

 private:
  std::vector<ParameterGroup> groups_;
  std::vector<std::vector<std::vector<at::Tensor>>> group_state_;  // [group][name][parameter]
  NamedState state_;
};

std::unique_ptr<Optimizer> MakeOptimizer(const OptimizerSettings &settings, std::vector<ParameterGroup> groups);

// What decides which state there is: "sgd with momentum", "adamw".
std::string DescribeOptimizer(const OptimizerSettings &settings);

// What StepRates::momentum is at first.
double FirstMomentum(const OptimizerSettings &settings);

// Values that an optimizer keeps for each of a parameter's.
int64_t StatesPerParameter(const OptimizerSettings &settings);

// Of the parameters that have one.
std::vector<at::Tensor> GradientsOf(const std::vector<ParameterGroup> &groups);

// torch.nn.utils.clip_grad_norm_ and clip_grad_value_. 0 = no limit.
void ClipGradients(const std::vector<ParameterGroup> &groups, double norm, double value);

}  // namespace trainyard
