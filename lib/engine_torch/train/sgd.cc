#include "engine_torch/train/sgd.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

namespace trainyard {

Sgd::Sgd(NamedTensors parameters, double momentum, double weight_decay)
    : momentum_(momentum), weight_decay_(weight_decay) {
  for (auto &[name, parameter] : parameters) {
    parameters_.push_back(parameter);
    if (momentum_ == 0) continue;
    // Zero at first: then the first step makes the momentum the gradient itself, as PyTorch does.
    momenta_.push_back(at::zeros_like(parameter.detach()));
    state_.emplace_back(name, momenta_.back());
  }
}

void Sgd::Step(double lr) {
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> parameters;
  std::vector<at::Tensor> gradients;
  std::vector<at::Tensor> momenta;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor &gradient = parameters_[i].grad();
    if (!gradient.defined()) continue;
    parameters.push_back(parameters_[i]);
    // The fused kernel walks the memory: all three must lie in the same order (autograd's gradients do).
    gradients.push_back(
        gradient.strides() == parameters_[i].strides() ? gradient : at::empty_like(parameters_[i]).copy_(gradient));
    if (momentum_ != 0) momenta.push_back(momenta_[i]);
  }
  if (parameters.empty()) return;
  at::_fused_sgd_(parameters, gradients, momenta, weight_decay_, momentum_, lr, /*dampening=*/0, /*nesterov=*/false,
                  /*maximize=*/false, /*is_first_step=*/false);
}

void Sgd::ZeroGradients() {
  for (at::Tensor &parameter : parameters_) parameter.mutable_grad().reset();
}

}  // namespace trainyard
