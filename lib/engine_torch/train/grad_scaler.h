// Scaled losses, so that small gradients do not vanish in fp16: torch.amp.GradScaler's rule and defaults. The loss is
// multiplied by a scale before its backward pass, and the gradients are divided by it before anything looks at them. A
// step whose gradients then are no finite numbers is left out and halves the scale; 2000 good steps in a row double it.
// Thread rule: one thread at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace trainyard {

class GradScaler {
 public:
  static constexpr double kFirstScale = 65536;
  static constexpr double kGrowth = 2;
  static constexpr double kBackoff = 0.5;
  static constexpr int64_t kGrowthSteps = 2000;

  // What a checkpoint keeps.
  struct State {
    double scale = kFirstScale;
    int64_t good_steps = 0;  // in a row, since the scale changed
    int64_t skipped = 0;     // steps left out so far
  };

  // Not `enabled`: losses and gradients stay as they are, and every step counts.
  GradScaler(bool enabled, c10::Device device);

  bool enabled() const { return enabled_; }
  at::Tensor Scale(const at::Tensor &loss) const;
  // Once after the backward pass of a step: divides the gradients, and brings the scale up to date. False: one of them
  // is no finite number, and the step must be left out. Waits for the device.
  bool Unscale(const std::vector<at::Tensor> &gradients);

  State state() const;  // waits for the device
  void Restore(const State &state);

 private:
  const bool enabled_;
  at::Tensor scale_, good_steps_;  // on the device; undefined when not enabled
  int64_t skipped_ = 0;
};

}  // namespace trainyard
