#include "engine_torch/train/grad_scaler.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

namespace trainyard {

GradScaler::GradScaler(bool enabled, c10::Device device) : enabled_(enabled) {
  if (!enabled_) return;
  const at::TensorOptions options(device);
  scale_ = at::full({}, kFirstScale, options.dtype(at::kFloat));
  good_steps_ = at::zeros({}, options.dtype(at::kInt));
}

at::Tensor GradScaler::Scale(const at::Tensor &loss) const {
  return enabled_ ? loss * scale_ : loss;
}

bool GradScaler::Unscale(const std::vector<at::Tensor> &gradients) {
  if (!enabled_) return true;
  const c10::NoGradGuard no_grad;
  at::Tensor found = at::zeros({}, scale_.options());
  // In doubles, as GradScaler does: a scale that is no power of two has the nearest inverse.
  const at::Tensor inverse = scale_.to(at::kDouble).reciprocal().to(at::kFloat);
  if (!gradients.empty()) at::_amp_foreach_non_finite_check_and_unscale_(gradients, found, inverse);
  at::_amp_update_scale_(scale_, good_steps_, found, kGrowth, kBackoff, kGrowthSteps);
  const bool good = found.item<float>() == 0;
  if (!good) ++skipped_;
  return good;
}

GradScaler::State GradScaler::state() const {
  if (!enabled_) return {};
  return {scale_.item<double>(), good_steps_.item<int64_t>(), skipped_};
}

void GradScaler::Restore(const State &state) {
  if (!enabled_) return;
  scale_.fill_(state.scale);
  good_steps_.fill_(state.good_steps);
  skipped_ = state.skipped;
}

}  // namespace trainyard
