// Stochastic gradient descent with momentum and weight decay, PyTorch's torch.optim.SGD with dampening 0 and without
// Nesterov: one fused pass over all parameters. Thread rule: one thread at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace trainyard {

class Sgd {
 public:
  using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

  Sgd(NamedTensors parameters, double momentum, double weight_decay);

  void Step(double lr);
  void ZeroGradients();

  // The momentum of each parameter, by its name; empty when momentum is 0. Written to by a resume.
  const NamedTensors &state() const { return state_; }

 private:
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> momenta_;
  NamedTensors state_;
  double momentum_;
  double weight_decay_;
};

}  // namespace trainyard
