#include "engine_torch/train/task_score.h"

#include <ATen/Functions.h>

#include <cmath>
#include <limits>

namespace trainyard {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double F1(int64_t right, int64_t wrongly_told, int64_t missed) {
  const int64_t all = 2 * right + wrongly_told + missed;
  return all > 0 ? static_cast<double>(2 * right) / static_cast<double>(all) : 0;
}

}  // namespace

void TaskScore::Add(const at::Tensor &outputs, const at::Tensor &targets) {
  if (targets.size(0) == 0 || task_ == Task::kClassification) return;
  images_ += targets.size(0);
  if (task_ == Task::kMultilabel) {
    AddLabels(outputs, targets);
  } else {
    AddNumbers(outputs, targets);
  }
}

void TaskScore::AddLabels(const at::Tensor &outputs, const at::Tensor &targets) {
  const at::Tensor told = outputs.gt(0), there = targets.gt(0.5);
  all_right_ += told.eq(there).all(1).sum().item<int64_t>();
  const at::Tensor right = told.logical_and(there).sum(0).cpu();
  const at::Tensor told_count = told.sum(0).cpu(), there_count = there.sum(0).cpu();
  for (size_t i = 0; i < labels_.size(); ++i) {
    const int64_t both = right.const_data_ptr<int64_t>()[i];
    labels_[i].right += both;
    labels_[i].wrongly_told += told_count.const_data_ptr<int64_t>()[i] - both;
    labels_[i].missed += there_count.const_data_ptr<int64_t>()[i] - both;
  }
}

void TaskScore::AddNumbers(const at::Tensor &outputs, const at::Tensor &targets) {
  const at::Tensor told = outputs.to(at::kCPU, at::kDouble).contiguous();
  const at::Tensor true_ones = targets.to(at::kCPU, at::kDouble).contiguous();
  const int64_t before = images_ - targets.size(0);
  for (int64_t i = 0; i < true_ones.numel(); ++i) {
    const double truth = true_ones.const_data_ptr<double>()[i];
    const double error = told.const_data_ptr<double>()[i] - truth;
    absolute_ += std::abs(error);
    squared_ += error * error;
    const double from_mean = truth - mean_;
    mean_ += from_mean / static_cast<double>(before + i + 1);
    scatter_ += from_mean * (truth - mean_);
  }
}

double TaskScore::Accuracy() const {
  return images_ > 0 ? static_cast<double>(all_right_) / static_cast<double>(images_) : kNan;
}

std::vector<TaskScore::Value> TaskScore::LabelValues() const {
  LabelCounts all;
  double sum = 0;
  for (const LabelCounts &label : labels_) {
    all.right += label.right;
    all.wrongly_told += label.wrongly_told;
    all.missed += label.missed;
    sum += F1(label.right, label.wrongly_told, label.missed);
  }
  return {{"val/f1_micro", "F1 of all labels (micro)", F1(all.right, all.wrongly_told, all.missed)},
          {"val/f1_macro", "mean F1 of the labels (macro)", sum / static_cast<double>(labels_.size())}};
}

std::vector<TaskScore::Value> TaskScore::NumberValues() const {
  const auto count = static_cast<double>(images_);
  // As scikit-learn has it where all targets are the same.
  const double constant = squared_ > 0 ? 0 : 1;
  const double share = scatter_ > 0 ? 1 - squared_ / scatter_ : constant;
  return {{"val/rmse", "root of the mean squared error", std::sqrt(squared_ / count)},
          {"val/mae", "mean absolute error", absolute_ / count},
          {"val/r2", "R\u00b2", images_ < 2 ? kNan : share}};
}

std::vector<TaskScore::Value> TaskScore::Values() const {
  if (images_ == 0) return {};
  return task_ == Task::kMultilabel ? LabelValues() : NumberValues();
}

}  // namespace trainyard
