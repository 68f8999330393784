#include "engine_torch/train/loss.h"

#include <ATen/Functions.h>
#include <ATen/core/Reduction.h>

#include <numeric>
#include <string>

#include "core/train_lists.h"
#include "util/error.h"

namespace trainyard {
namespace {

std::string ShapeOf(const at::Tensor &tensor) {
  std::string text = c10::toString(tensor.scalar_type());
  text += " [";
  for (int64_t i = 0; i < tensor.dim(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(tensor.size(i));
  return text + "]";
}

}  // namespace

Loss::Loss(const LossSettings &settings, const std::vector<int64_t> &class_images, c10::Device device)
    : kind_(settings.kind), delta_(settings.delta), label_smoothing_(settings.label_smoothing) {
  constexpr const char *kKey = "loss.class_weights";
  const ClassWeights parsed = ParseClassWeights(settings.class_weights, kKey);
  std::vector<double> weights = parsed.weights;
  if (parsed.balanced) {
    const auto images = static_cast<double>(std::accumulate(class_images.begin(), class_images.end(), int64_t{0}));
    const auto classes = static_cast<double>(class_images.size());
    for (const int64_t count : class_images)
      weights.push_back(count == 0 ? 0 : images / (classes * static_cast<double>(count)));
  }
  if (weights.empty()) return;
  if (weights.size() != class_images.size()) {
    throw Error::InvalidArgument("setting 'loss.class_weights' has " + std::to_string(weights.size()) +
                                     " numbers, and there are " + std::to_string(class_images.size()) + " classes",
                                 {{"key", kKey}});
  }
  class_weights_ = at::tensor(weights, at::TensorOptions(at::kFloat)).to(device);
}

double Loss::Weight(const at::Tensor &targets) const {
  if (kind_ != LossKind::kCrossEntropy) return static_cast<double>(targets.numel());
  if (!class_weights_.defined()) return static_cast<double>(targets.size(0));
  return class_weights_.index_select(0, targets).sum().item<double>();
}

void Loss::Check(const at::Tensor &outputs, const at::Tensor &targets) const {
  const bool classes = kind_ == LossKind::kCrossEntropy;
  const bool fits = classes ? targets.dim() == 1 && outputs.dim() == 2 && targets.size(0) == outputs.size(0) &&
                                  targets.scalar_type() == at::kLong
                            : targets.sizes() == outputs.sizes() && targets.is_floating_point();
  if (fits) return;
  throw Error::InvalidArgument("the targets are " + ShapeOf(targets) + " and the model's outputs " + ShapeOf(outputs) +
                               (classes ? ": loss.name cross_entropy needs one int64 class per sample"
                                        : ": this loss.name needs floats of the outputs' shape"));
}

at::Tensor Loss::Sum(const at::Tensor &outputs, const at::Tensor &targets) const {
  Check(outputs, targets);
  switch (kind_) {
    case LossKind::kCrossEntropy:
      break;
    case LossKind::kBce:
      return at::binary_cross_entropy_with_logits(outputs, targets, {}, {}, at::Reduction::Sum);
    case LossKind::kMse:
      return at::mse_loss(outputs, targets, at::Reduction::Sum);
    case LossKind::kL1:
      return at::l1_loss(outputs, targets, at::Reduction::Sum);
    case LossKind::kHuber:
      return at::huber_loss(outputs, targets, at::Reduction::Sum, delta_);
  }
  const std::optional<at::Tensor> weights =
      class_weights_.defined() ? std::optional<at::Tensor>(class_weights_) : std::nullopt;
  return at::cross_entropy_loss(outputs, targets, weights, at::Reduction::Sum, /*ignore_index=*/-100, label_smoothing_);
}

at::Tensor Loss::Correct(const at::Tensor &outputs, const at::Tensor &targets) const {
  if (kind_ == LossKind::kCrossEntropy) return outputs.argmax(1).eq(targets).sum();
  if (kind_ == LossKind::kBce) return outputs.gt(0).eq(targets.gt(0.5)).flatten(1).all(1).sum();
  return at::zeros({}, targets.options().dtype(at::kLong));
}

}  // namespace trainyard
