#include "engine_torch/train/optimizer.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <type_traits>

#include "engine_torch/kernels/sgd.h"
#include "util/error.h"

namespace trainyard {
namespace {

// The fused kernels walk memory: a gradient must lie in its parameter's order (autograd's nearly always do). How far
// apart the elements of a dimension are that has only one (1 x 1 convolutions) says nothing about that.
at::Tensor Aligned(const at::Tensor &gradient, const at::Tensor &parameter) {
  if (gradient.strides() == parameter.strides()) return gradient;
  bool same_order = true;
  for (int64_t i = 0; i < parameter.dim(); ++i)
    same_order = same_order && (parameter.size(i) == 1 || gradient.stride(i) == parameter.stride(i));
  return same_order ? gradient.as_strided(parameter.sizes(), parameter.strides())
                    : at::empty_like(parameter).copy_(gradient);
}

// torch.optim.SGD with dampening 0. Momenta that are zero at first give the same as PyTorch's first step, which makes
// them the gradient itself.
class Sgd final : public Optimizer {
 public:
  Sgd(const OptimizerSettings &settings, std::vector<ParameterGroup> groups)
      : Optimizer(settings, std::move(groups),
                  settings.momentum == 0 ? std::vector<std::string>() : std::vector<std::string>{"momentum"}, false) {}

 private:
  void Apply(const Batch &batch, double lr, const at::Tensor &device_lr, double momentum) override {
    const std::vector<at::Tensor> none;
    const std::vector<at::Tensor> &momenta = batch.state.empty() ? none : batch.state[0];
    const double used_momentum = batch.state.empty() ? 0 : momentum;
    if (!device_lr.defined() && FitsSgd(batch.parameters)) {
      SgdStep(batch.parameters, batch.gradients, momenta,
              {lr, used_momentum, settings_.weight_decay, settings_.nesterov});
      return;
    }
    const auto update = [&](const auto &rate) {
      at::_fused_sgd_(batch.parameters, batch.gradients, momenta, settings_.weight_decay, used_momentum, rate,
                      /*dampening=*/0, settings_.nesterov, /*maximize=*/false, /*is_first_step=*/false);
    };
    device_lr.defined() ? update(device_lr) : update(lr);
  }
};

// torch.optim.Adam and AdamW: they differ in what weight decay is.
class Adam final : public Optimizer {
 public:
  Adam(const OptimizerSettings &settings, std::vector<ParameterGroup> groups)
      : Optimizer(settings, std::move(groups), {"exp_avg", "exp_avg_sq", "step"}, true) {}

 private:
  void Apply(const Batch &batch, double lr, const at::Tensor &device_lr, double momentum) override {
    at::_foreach_add_(batch.state[2], 1);
    const auto update = [&](const auto &rate) {
      const auto with = [&](auto *kernel) {
        kernel(batch.parameters, batch.gradients, batch.state[0], batch.state[1], {}, batch.state[2], rate, momentum,
               settings_.beta2, settings_.weight_decay, settings_.epsilon, /*amsgrad=*/false, /*maximize=*/false, {},
               {});
      };
      using Kernel = Update<std::decay_t<decltype(rate)>>;
      settings_.kind == OptimizerKind::kAdamW ? with(static_cast<Kernel *>(&at::_fused_adamw_))
                                              : with(static_cast<Kernel *>(&at::_fused_adam_));
    };
    device_lr.defined() ? update(device_lr) : update(lr);
  }

  // Rate: a number, or a tensor by reference.
  template <typename Rate>
  using Update = void(at::TensorList, at::TensorList, at::TensorList, at::TensorList, at::TensorList, at::TensorList,
                      std::conditional_t<std::is_arithmetic_v<Rate>, Rate, const Rate &>, double, double, double,
                      double, bool, bool, const std::optional<at::Tensor> &, const std::optional<at::Tensor> &);
};

// torch.optim.RMSprop, not centered.
class RmsProp final : public Optimizer {
 public:
  RmsProp(const OptimizerSettings &settings, std::vector<ParameterGroup> groups)
      : Optimizer(settings, std::move(groups),
                  settings.momentum == 0 ? std::vector<std::string>{"square_avg"}
                                         : std::vector<std::string>{"square_avg", "momentum"},
                  false) {}

 private:
  void Apply(const Batch &batch, double lr, const at::Tensor &device_lr, double momentum) override {
    if (device_lr.defined()) throw Error::Internal("rmsprop takes its rate from the host");
    std::vector<at::Tensor> gradients = batch.gradients;
    if (settings_.weight_decay != 0) gradients = at::_foreach_add(gradients, batch.parameters, settings_.weight_decay);
    at::_foreach_mul_(batch.state[0], settings_.alpha);
    at::_foreach_addcmul_(batch.state[0], gradients, gradients, 1 - settings_.alpha);
    std::vector<at::Tensor> average = at::_foreach_sqrt(batch.state[0]);
    at::_foreach_add_(average, settings_.epsilon);
    if (batch.state.size() == 1) {
      at::_foreach_addcdiv_(batch.parameters, gradients, average, -lr);
      return;
    }
    at::_foreach_mul_(batch.state[1], momentum);
    at::_foreach_addcdiv_(batch.state[1], gradients, average, 1);
    at::_foreach_add_(batch.parameters, batch.state[1], -lr);
  }
};

}  // namespace

Optimizer::Optimizer(const OptimizerSettings &settings, std::vector<ParameterGroup> groups,
                     const std::vector<std::string> &state_names, bool counts_steps)
    : settings_(settings), groups_(std::move(groups)) {
  for (const ParameterGroup &group : groups_) {
    auto &lists = group_state_.emplace_back(state_names.size());
    for (const auto &[name, parameter] : group.parameters) {
      for (size_t i = 0; i < state_names.size(); ++i) {
        const bool count = counts_steps && i + 1 == state_names.size();
        const at::Tensor value = parameter.detach();
        lists[i].push_back(count ? at::zeros({}, value.options().dtype(at::kFloat)) : at::zeros_like(value));
        state_.emplace_back(state_names[i] + "." + name, lists[i].back());
      }
    }
  }
}

void Optimizer::Step(const StepRates &rates, const std::vector<at::Tensor> *device_lr) {
  const c10::NoGradGuard no_grad;
  for (size_t g = 0; g < groups_.size(); ++g) {
    Batch batch;
    batch.state.resize(group_state_[g].size());
    for (size_t i = 0; i < groups_[g].parameters.size(); ++i) {
      const at::Tensor &parameter = groups_[g].parameters[i].second;
      const at::Tensor &gradient = parameter.grad();
      if (!gradient.defined()) continue;
      batch.parameters.push_back(parameter);
      batch.gradients.push_back(Aligned(gradient, parameter));
      for (size_t k = 0; k < batch.state.size(); ++k) batch.state[k].push_back(group_state_[g][k][i]);
    }
    if (batch.parameters.empty()) continue;
    Apply(batch, rates.lr * groups_[g].lr_factor, device_lr == nullptr ? at::Tensor() : device_lr->at(g),
          rates.momentum);
  }
}

void Optimizer::ZeroGradients() {
  for (const ParameterGroup &group : groups_) {
    for (const auto &[name, parameter] : group.parameters) at::Tensor(parameter).mutable_grad().reset();
  }
}

std::unique_ptr<Optimizer> MakeOptimizer(const OptimizerSettings &settings, std::vector<ParameterGroup> groups) {
  switch (settings.kind) {
    case OptimizerKind::kSgd:
      return std::make_unique<Sgd>(settings, std::move(groups));
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      return std::make_unique<Adam>(settings, std::move(groups));
    case OptimizerKind::kRmsProp:
      return std::make_unique<RmsProp>(settings, std::move(groups));
  }
  throw Error::Internal("an optimizer without a class");
}

std::string DescribeOptimizer(const OptimizerSettings &settings) {
  const char *momentum = settings.momentum == 0 ? "" : " with momentum";
  switch (settings.kind) {
    case OptimizerKind::kSgd:
      return std::string("sgd") + momentum;
    case OptimizerKind::kAdam:
      return "adam";
    case OptimizerKind::kAdamW:
      return "adamw";
    case OptimizerKind::kRmsProp:
      break;
  }
  return std::string("rmsprop") + momentum;
}

double FirstMomentum(const OptimizerSettings &settings) {
  const bool adam = settings.kind == OptimizerKind::kAdam || settings.kind == OptimizerKind::kAdamW;
  return adam ? settings.beta1 : settings.momentum;
}

int64_t StatesPerParameter(const OptimizerSettings &settings) {
  const int64_t momentum = settings.momentum == 0 ? 0 : 1;
  switch (settings.kind) {
    case OptimizerKind::kSgd:
      return momentum;
    case OptimizerKind::kRmsProp:
      return 1 + momentum;
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      break;
  }
  return 2;
}

std::vector<at::Tensor> GradientsOf(const std::vector<ParameterGroup> &groups) {
  std::vector<at::Tensor> gradients;
  for (const ParameterGroup &group : groups) {
    for (const auto &[name, parameter] : group.parameters) {
      if (parameter.grad().defined()) gradients.push_back(parameter.grad());
    }
  }
  return gradients;
}

void ClipGradients(const std::vector<ParameterGroup> &groups, double norm, double value) {
  if (norm == 0 && value == 0) return;
  const c10::NoGradGuard no_grad;
  const std::vector<at::Tensor> gradients = GradientsOf(groups);
  if (gradients.empty()) return;
  if (norm != 0) {
    const at::Tensor total = at::stack(at::_foreach_norm(gradients, 2)).norm(2);
    at::_foreach_mul_(gradients, (norm / (total + 1e-6)).clamp_max(1.0));
  }
  if (value != 0) {
    at::_foreach_clamp_max_(gradients, value);
    at::_foreach_clamp_min_(gradients, -value);
  }
}

}  // namespace trainyard
