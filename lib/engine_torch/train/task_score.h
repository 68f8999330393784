// How well labels or numbers are told, over the images of one evaluation. The definitions are scikit-learn's:
// f1_score(average="micro" or "macro", zero_division=0) over all labels, mean_absolute_error, r2_score; the root of
// mean_squared_error. A label counts as told where its logit is above 0, its probability above a half. (Of classes
// report/metrics.h says more.)
//
// Thread rule: one thread at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "engine_torch/train/task.h"

namespace trainyard {

class TaskScore {
 public:
  // outputs: labels, or numbers (1).
  TaskScore(Task task, size_t outputs) : task_(task), labels_(task == Task::kMultilabel ? outputs : 0) {}

  // Rows of the model's outputs and of the targets, on one device. Of classes nothing is counted.
  void Add(const at::Tensor &outputs, const at::Tensor &targets);

  int64_t images() const { return images_; }
  // The share of images whose labels are all right.
  double Accuracy() const;

  struct Value {
    const char *metric;  // "val/rmse"
    const char *title;   // for people
    double number;
  };
  // NaN where a number says nothing (R2 of less than 2 images).
  std::vector<Value> Values() const;

 private:
  struct LabelCounts {
    int64_t right = 0, wrongly_told = 0, missed = 0;
  };
  void AddLabels(const at::Tensor &outputs, const at::Tensor &targets);
  void AddNumbers(const at::Tensor &outputs, const at::Tensor &targets);
  std::vector<Value> LabelValues() const;
  std::vector<Value> NumberValues() const;

  Task task_;
  int64_t images_ = 0;
  int64_t all_right_ = 0;
  std::vector<LabelCounts> labels_;
  double absolute_ = 0, squared_ = 0;  // errors, summed
  // Of the targets: their mean and the sum of squared distances from it, kept up one by one (Welford).
  double mean_ = 0, scatter_ = 0;
};

}  // namespace trainyard
