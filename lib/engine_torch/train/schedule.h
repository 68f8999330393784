// The learning rate (and OneCycle's momentum) of each step, with torch.optim.lr_scheduler's formulas. The rates of step
// and epoch are computed, not accumulated, so there is no state to keep; only `plateau` has some. Thread rule: one
// thread at a time.
#pragma once

#include <cstdint>
#include <limits>

#include "engine_torch/train/optimizer.h"
#include "engine_torch/train/settings.h"

namespace trainyard {

class Schedule {
 public:
  Schedule(const ScheduleSettings &settings, double lr, double momentum, int64_t epochs, int64_t steps_per_epoch);

  // epoch: from 1. step: of the epoch, from 1.
  StepRates At(int64_t epoch, int64_t step) const;

  // What `plateau` remembers.
  struct Plateau {
    double factor = 1;  // times the first rate
    double best = std::numeric_limits<double>::infinity();
    int64_t epochs_without_gain = 0;
  };
  // After each epoch; of use to `plateau` alone.
  void EpochEnded(double validation_loss);
  const Plateau &plateau() const { return plateau_; }
  void Restore(const Plateau &plateau) { plateau_ = plateau; }

 private:
  double EpochRate(int64_t epoch) const;
  StepRates OneCycle(int64_t step) const;  // of all, from 0

  const ScheduleSettings settings_;
  const double lr_, momentum_;
  const int64_t epochs_, steps_per_epoch_;
  Plateau plateau_;
};

}  // namespace trainyard
