// An exponential moving average of the trained parameters, as torch.optim.swa_utils.AveragedModel keeps it: evaluated
// and kept in their place, while training goes on with its own. Buffers (batch norm statistics) are the model's own.
// Thread rule: one thread at a time.
#pragma once

#include "engine_torch/train/optimizer.h"

namespace trainyard {

class MovingAverage {
 public:
  // decay 0: there is none, and every call does nothing.
  MovingAverage(double decay, const std::vector<ParameterGroup> &groups);

  void Update();  // after each step
  // Changes places with the parameters, there and back.
  void Swap();

  // "<parameter>", and "updates", their number: written to by a resume.
  const NamedState &state() const { return state_; }

  // While it lives, the parameters are the average.
  class InPlace {
   public:
    explicit InPlace(MovingAverage *average) : average_(average) { average_->Swap(); }
    InPlace(const InPlace &) = delete;
    InPlace &operator=(const InPlace &) = delete;
    ~InPlace() { average_->Swap(); }

   private:
    MovingAverage *average_;
  };

 private:
  const double decay_;
  std::vector<at::Tensor> parameters_, averages_;
  at::Tensor updates_;  // how many there were
  NamedState state_;
};

}  // namespace trainyard
