#include "engine_torch/train/answers.h"

#include <algorithm>
#include <cmath>

namespace trainyard {
namespace {

bool HasLabel(const Dataset &dataset, size_t sample, size_t label) {
  return dataset.TruthOf(sample, label) > 0.5;
}

}  // namespace

void Answers::Add(const at::Tensor &outputs, const std::vector<size_t> &samples) {
  const at::Tensor rows = outputs.to(at::kCPU, at::kFloat).contiguous();
  const auto *values = rows.const_data_ptr<float>();
  for (size_t i = 0; i < samples.size(); ++i) {
    std::copy_n(values + i * outputs_, outputs_, values_.begin() + static_cast<std::ptrdiff_t>(samples[i] * outputs_));
    if (!answered_[samples[i]]) ++answered_count_;
    answered_[samples[i]] = true;
  }
}

void Answers::AddUp(const std::function<void(std::vector<double> *)> &sum) {
  std::vector<double> numbers(values_.begin(), values_.end());
  numbers.insert(numbers.end(), answered_.begin(), answered_.end());
  sum(&numbers);
  for (size_t i = 0; i < values_.size(); ++i) values_[i] = static_cast<float>(numbers[i]);
  answered_count_ = 0;
  for (size_t i = 0; i < answered_.size(); ++i) {
    answered_[i] = numbers[values_.size() + i] > 0;
    answered_count_ += answered_[i] ? 1 : 0;
  }
}

std::vector<size_t> Answers::Samples() const {
  std::vector<size_t> samples;
  samples.reserve(answered_count_);
  for (size_t i = 0; i < answered_.size(); ++i) {
    if (answered_[i]) samples.push_back(i);
  }
  return samples;
}

report::LabelMetrics LabelMetricsOf(const Dataset &dataset, const Answers &answers) {
  const std::vector<size_t> samples = answers.Samples();
  return report::ComputeLabelMetrics(dataset.classes().size(), samples.size(), [&](size_t label, size_t image) {
    const size_t sample = samples[image];
    return report::ScoredTruth{answers.Value(sample, label), HasLabel(dataset, sample, label)};
  });
}

report::NumberMetrics NumberMetricsOf(const Dataset &dataset, const Answers &answers, size_t output) {
  std::vector<report::NumberAnswer> numbers;
  for (const size_t sample : answers.Samples()) {
    numbers.push_back({dataset.TruthOf(sample, output), static_cast<double>(answers.Value(sample, output))});
  }
  return report::ComputeNumberMetrics(std::move(numbers));
}

report::NumberMetrics MeanNumberMetricsOf(const Dataset &dataset, const Answers &answers) {
  std::vector<report::NumberMetrics> outputs;
  const size_t count = dataset.classes().size();
  for (size_t i = 0; i < count; ++i) {
    outputs.push_back(NumberMetricsOf(dataset, answers, i));
    if (count > 1) outputs.back().answers = {};
  }
  return report::MeanOfOutputs(outputs);
}

std::vector<TaskMetric> MetricsOf(Task task, const Dataset &dataset, const Answers &answers) {
  if (answers.empty()) return {};
  if (task == Task::kRegression) {
    const report::NumberMetrics metrics = MeanNumberMetricsOf(dataset, answers);
    return {{"val/rmse", metrics.rmse}, {"val/mae", metrics.mae}, {"val/r2", metrics.r2}};
  }
  const report::LabelMetrics metrics = LabelMetricsOf(dataset, answers);
  return {{"val/f1_micro", metrics.f1_micro},
          {"val/f1_macro", metrics.f1_macro},
          {"val/average_precision_macro", metrics.average_precision_macro},
          {"val/roc_auc_macro", metrics.roc_auc_macro}};
}

double ErrorOf(Task task, const Dataset &dataset, const Answers &answers, size_t sample) {
  const auto outputs = static_cast<double>(dataset.classes().size());
  double sum = 0;
  if (task == Task::kRegression) {
    for (size_t i = 0; i < dataset.classes().size(); ++i) {
      sum += std::abs(static_cast<double>(answers.Value(sample, i)) - dataset.TruthOf(sample, i));
    }
    return sum / outputs;
  }
  for (size_t label = 0; label < dataset.classes().size(); ++label) {
    const double logit = answers.Value(sample, label);
    // -log of the probability of what is true: log(1 + exp(-x)) without overflow.
    const double x = HasLabel(dataset, sample, label) ? logit : -logit;
    sum += std::log1p(std::exp(-std::abs(x))) + std::max(-x, 0.0);
  }
  return sum / outputs;
}

}  // namespace trainyard
