// What is made small: cross entropy of classes (with class weights and label smoothing), binary cross entropy of
// several labels at once, or a distance of numbers, with torch.nn's formulas. A batch's loss is a sum over its samples,
// divided by what the whole batch weighs: so it is the same whatever parts the batch goes through the model in. Thread
// rule: one thread at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "engine_torch/train/settings.h"

namespace trainyard {

class Loss {
 public:
  // class_images: training images of each class; `balanced` weighs a class by images / (classes * its images). Throws
  // Error::InvalidArgument when there is another number of weights than classes.
  Loss(const LossSettings &settings, const std::vector<int64_t> &class_images, c10::Device device);

  // What a batch weighs: its number of samples, the sum of their classes' weights, or its number of values.
  double Weight(const at::Tensor &targets) const;
  // Summed over the samples, not divided yet. outputs: [n, classes] logits, or [n, ...] of any shape; targets: [n]
  // int64, or floats of the outputs' shape. Throws Error::InvalidArgument when they do not fit together.
  at::Tensor Sum(const at::Tensor &outputs, const at::Tensor &targets) const;
  // Samples whose classes, or labels all, are right; none where numbers are learnt.
  at::Tensor Correct(const at::Tensor &outputs, const at::Tensor &targets) const;

 private:
  void Check(const at::Tensor &outputs, const at::Tensor &targets) const;

  const LossKind kind_;
  const double delta_;
  const double label_smoothing_;
  at::Tensor class_weights_;  // undefined: all alike
};

}  // namespace trainyard
