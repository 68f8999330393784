#include "engine_torch/train/ema.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

namespace trainyard {

MovingAverage::MovingAverage(double decay, const std::vector<ParameterGroup> &groups) : decay_(decay) {
  if (decay_ == 0) return;
  for (const ParameterGroup &group : groups) {
    for (const auto &[name, parameter] : group.parameters) {
      parameters_.push_back(parameter);
      averages_.push_back(parameter.detach().clone());
      state_.emplace_back(name, averages_.back());
    }
  }
  updates_ = at::zeros({}, at::kLong);
  state_.emplace_back("updates", updates_);
}

void MovingAverage::Update() {
  if (averages_.empty()) return;
  const c10::NoGradGuard no_grad;
  // The first is the parameters themselves.
  at::_foreach_lerp_(averages_, parameters_, updates_.item<int64_t>() == 0 ? 1 : 1 - decay_);
  updates_ += 1;
}

void MovingAverage::Swap() {
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < averages_.size(); ++i) {
    const at::Tensor kept = averages_[i].clone();
    averages_[i].copy_(parameters_[i]);
    parameters_[i].copy_(kept);
  }
}

}  // namespace trainyard
