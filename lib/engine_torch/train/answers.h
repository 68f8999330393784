// What the model said of the samples of one set, where they have several labels or numbers: its outputs (logits, or the
// numbers), a row for each sample, and what follows from them. (Of classes there are Verdicts, train/run_report.h.)
// Takes 4 bytes for each sample and output.
//
// Thread rule: one thread at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "engine_torch/report/task_metrics.h"
#include "engine_torch/train/dataset.h"
#include "engine_torch/train/task.h"

namespace trainyard {

class Answers {
 public:
  Answers() = default;
  Answers(size_t samples, size_t outputs) : outputs_(outputs), values_(samples * outputs), answered_(samples) {}

  // Rows of the model's outputs for the samples of these indices.
  void Add(const at::Tensor &outputs, const std::vector<size_t> &samples);

  // Puts in the rows of other ranks, which were given other samples: `sum` adds numbers up over all ranks.
  void AddUp(const std::function<void(std::vector<double> *)> &sum);

  bool empty() const { return answered_count_ == 0; }
  // The samples that were answered for, in the order of the set.
  std::vector<size_t> Samples() const;
  float Value(size_t sample, size_t output = 0) const { return values_[sample * outputs_ + output]; }

 private:
  size_t outputs_ = 1;
  std::vector<float> values_;
  std::vector<bool> answered_;
  size_t answered_count_ = 0;
};

// `dataset` is the set. Samples that were not answered for are not counted.
report::LabelMetrics LabelMetricsOf(const Dataset &dataset, const Answers &answers);
report::NumberMetrics NumberMetricsOf(const Dataset &dataset, const Answers &answers, size_t output = 0);
// Of all numbers of a sample (report::MeanOfOutputs).
report::NumberMetrics MeanNumberMetricsOf(const Dataset &dataset, const Answers &answers);

// What an epoch tells of them: "val/f1_micro", ... Nothing for classes; NaN where a number says nothing.
struct TaskMetric {
  const char *name;
  double value;
};
std::vector<TaskMetric> MetricsOf(Task task, const Dataset &dataset, const Answers &answers);

// The binary cross entropy of a sample's labels, their mean; or how far off its numbers are, the mean.
double ErrorOf(Task task, const Dataset &dataset, const Answers &answers, size_t sample);

}  // namespace trainyard
