#include "engine_torch/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace trainyard {
namespace {

// torch.optim.lr_scheduler.OneCycleLR's, annealing by cosine in two phases.
constexpr double kBaseMomentum = 0.85, kMaximumMomentum = 0.95;
// ReduceLROnPlateau's: a smaller change of the rate is none.
constexpr double kSmallestChange = 1e-8;

double CosineBetween(double start, double end, double share) {
  return end + (start - end) / 2 * (std::cos(std::numbers::pi * share) + 1);
}

}  // namespace

Schedule::Schedule(const ScheduleSettings &settings, double lr, double momentum, int64_t epochs,
                   int64_t steps_per_epoch)
    : settings_(settings),
      lr_(lr),
      momentum_(momentum),
      epochs_(epochs),
      steps_per_epoch_(std::max<int64_t>(steps_per_epoch, 1)) {}

double Schedule::EpochRate(int64_t epoch) const {
  const auto done = static_cast<double>(epoch - 1);
  switch (settings_.kind) {
    case ScheduleKind::kConstant:
    case ScheduleKind::kOneCycle:
      return lr_;
    case ScheduleKind::kStep:
      return lr_ * std::pow(settings_.gamma, static_cast<double>((epoch - 1) / settings_.step_size));
    case ScheduleKind::kMultiStep: {
      const auto passed = std::count_if(settings_.milestones.begin(), settings_.milestones.end(),
                                        [&](double milestone) { return milestone <= done; });
      return lr_ * std::pow(settings_.gamma, static_cast<double>(passed));
    }
    case ScheduleKind::kExponential:
      return lr_ * std::pow(settings_.gamma, done);
    case ScheduleKind::kCosine: {
      const auto period = static_cast<double>(settings_.period > 0 ? settings_.period : epochs_);
      return settings_.minimum_lr + (lr_ - settings_.minimum_lr) * (1 + std::cos(std::numbers::pi * done / period)) / 2;
    }
    case ScheduleKind::kPlateau:
      return lr_ * plateau_.factor;
  }
  return lr_;
}

StepRates Schedule::OneCycle(int64_t step) const {
  const auto last = static_cast<double>(epochs_ * steps_per_epoch_ - 1);
  const double turn = settings_.rise * (last + 1) - 1;
  const double start = lr_ / settings_.division, end = start / settings_.final_division;
  const double low = settings_.cycle_momentum ? kBaseMomentum : momentum_;
  const double high = settings_.cycle_momentum ? kMaximumMomentum : momentum_;
  const auto now = static_cast<double>(step);
  if (now <= turn && turn > 0) return {CosineBetween(start, lr_, now / turn), CosineBetween(high, low, now / turn)};
  // Steps beyond the last keep its rate.
  const double share = last > turn ? std::min((now - turn) / (last - turn), 1.0) : 1;
  return {CosineBetween(lr_, end, share), CosineBetween(low, high, share)};
}

StepRates Schedule::At(int64_t epoch, int64_t step) const {
  const int64_t done = (epoch - 1) * steps_per_epoch_ + step - 1;
  if (settings_.kind == ScheduleKind::kOneCycle) return OneCycle(done);
  StepRates rates{EpochRate(epoch), momentum_};
  if (done < settings_.warmup_steps) {
    const double share = static_cast<double>(done) / static_cast<double>(settings_.warmup_steps);
    rates.lr *= settings_.warmup_start + (1 - settings_.warmup_start) * share;
  }
  return rates;
}

void Schedule::EpochEnded(double validation_loss) {
  if (settings_.kind != ScheduleKind::kPlateau) return;
  if (validation_loss < plateau_.best * (1 - settings_.threshold) || std::isinf(plateau_.best)) {
    plateau_.best = validation_loss;
    plateau_.epochs_without_gain = 0;
    return;
  }
  if (++plateau_.epochs_without_gain <= settings_.patience) return;
  plateau_.epochs_without_gain = 0;
  const double now = lr_ * plateau_.factor;
  const double then = std::max(now * settings_.gamma, settings_.minimum_lr);
  if (now - then > kSmallestChange && lr_ > 0) plateau_.factor = then / lr_;
}

}  // namespace trainyard
