#include "engine_torch/report/task_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace trainyard::report {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

int64_t Positives(const std::vector<ScoredTruth> &answers) {
  return std::count_if(answers.begin(), answers.end(), [](const ScoredTruth &one) { return one.truth; });
}

// Highest first. False: a NaN would be in no order with anything.
bool SortByScore(std::vector<ScoredTruth> *answers) {
  for (const ScoredTruth &one : *answers) {
    if (std::isnan(one.score)) return false;
  }
  std::sort(answers->begin(), answers->end(),
            [](const ScoredTruth &a, const ScoredTruth &b) { return a.score > b.score; });
  return true;
}

// Calls `visit(positives, negatives)` for each group of equal scores, highest first.
template <typename Visit>
void ForEachThreshold(const std::vector<ScoredTruth> &sorted, Visit visit) {
  for (size_t i = 0; i < sorted.size();) {
    const double score = sorted[i].score;
    double positives = 0, negatives = 0;
    for (; i < sorted.size() && sorted[i].score == score; ++i) ++(sorted[i].truth ? positives : negatives);
    visit(positives, negatives);
  }
}

// The mean of what is defined.
template <typename Number>
double MeanOf(const std::vector<LabelScore> &labels, Number number) {
  double sum = 0, count = 0;
  for (const LabelScore &label : labels) {
    const double value = number(label);
    if (std::isnan(value)) continue;
    sum += value;
    ++count;
  }
  return count > 0 ? sum / count : kNan;
}

ClassMetrics CountsOf(const std::vector<ScoredTruth> &answers) {
  int64_t support = 0, predicted = 0, correct = 0;
  for (const ScoredTruth &one : answers) {
    const bool told = one.score > 0;
    support += one.truth ? 1 : 0;
    predicted += told ? 1 : 0;
    correct += told && one.truth ? 1 : 0;
  }
  return MetricsOfCounts(support, predicted, correct);
}

// `answers` are in the order of the truth.
std::vector<NumberRange> RangesOf(const std::vector<NumberAnswer> &answers) {
  size_t numbers = 0;
  for (size_t i = 0; i < answers.size(); ++i) numbers += i == 0 || answers[i].truth != answers[i - 1].truth ? 1 : 0;
  const size_t wanted = numbers <= kMostRanges ? 1 : (answers.size() + kMostRanges - 1) / kMostRanges;
  std::vector<NumberRange> ranges;
  for (const NumberAnswer &answer : answers) {
    const bool full = !ranges.empty() && static_cast<size_t>(ranges.back().images) >= wanted;
    if (ranges.empty() || (full && answer.truth != ranges.back().high)) ranges.push_back({.low = answer.truth});
    NumberRange &range = ranges.back();
    range.high = answer.truth;
    ++range.images;
    range.mean_truth += answer.truth;
    range.mean_predicted += answer.predicted;
    range.mae += std::abs(answer.predicted - answer.truth);
  }
  for (NumberRange &range : ranges) {
    for (double *sum : {&range.mean_truth, &range.mean_predicted, &range.mae})
      *sum /= static_cast<double>(range.images);
  }
  return ranges;
}

}  // namespace

double RocAuc(std::vector<ScoredTruth> answers) {
  const auto positives = static_cast<double>(Positives(answers));
  const double negatives = static_cast<double>(answers.size()) - positives;
  if (positives == 0 || negatives == 0 || !SortByScore(&answers)) return kNan;
  double below = negatives;  // negatives that are scored lower than those looked at
  double won = 0;
  ForEachThreshold(answers, [&](double right, double wrong) {
    below -= wrong;
    won += right * (below + wrong / 2);
  });
  return won / positives / negatives;
}

double AveragePrecision(std::vector<ScoredTruth> answers) {
  const auto positives = static_cast<double>(Positives(answers));
  if (positives == 0 || !SortByScore(&answers)) return kNan;
  double found = 0, looked_at = 0, sum = 0;
  ForEachThreshold(answers, [&](double right, double wrong) {
    found += right;
    looked_at += right + wrong;
    sum += right * (found / looked_at);
  });
  return sum / positives;
}

LabelMetrics ComputeLabelMetrics(size_t labels, size_t images,
                                 const std::function<ScoredTruth(size_t label, size_t image)> &answer) {
  LabelMetrics metrics;
  metrics.images = static_cast<int64_t>(images);
  std::vector<bool> right(images, true);
  std::vector<ScoredTruth> answers(images);
  int64_t support = 0, predicted = 0, correct = 0;
  for (size_t label = 0; label < labels; ++label) {
    for (size_t image = 0; image < images; ++image) {
      answers[image] = answer(label, image);
      if ((answers[image].score > 0) != answers[image].truth) right[image] = false;
    }
    const ClassMetrics counts = CountsOf(answers);
    support += counts.support;
    predicted += counts.predicted;
    correct += counts.correct;
    metrics.labels.push_back({counts, AveragePrecision(answers), RocAuc(answers)});
  }
  metrics.all_right = std::count(right.begin(), right.end(), true);
  if (images == 0) {
    metrics.accuracy = metrics.f1_micro = metrics.f1_macro = kNan;
  } else {
    metrics.accuracy = static_cast<double>(metrics.all_right) / static_cast<double>(images);
    metrics.f1_micro = MetricsOfCounts(support, predicted, correct).f1;
    metrics.f1_macro = MeanOf(metrics.labels, [](const LabelScore &label) { return label.counts.f1; });
  }
  metrics.average_precision_macro =
      MeanOf(metrics.labels, [](const LabelScore &label) { return label.average_precision; });
  metrics.roc_auc_macro = MeanOf(metrics.labels, [](const LabelScore &label) { return label.roc_auc; });
  return metrics;
}

NumberMetrics ComputeNumberMetrics(std::vector<NumberAnswer> answers) {
  NumberMetrics metrics;
  metrics.images = static_cast<int64_t>(answers.size());
  metrics.rmse = metrics.mae = metrics.r2 = kNan;
  if (answers.empty()) return metrics;
  std::sort(answers.begin(), answers.end(),
            [](const NumberAnswer &a, const NumberAnswer &b) { return a.truth < b.truth; });
  const auto count = static_cast<double>(answers.size());
  double mean = 0, absolute = 0, squared = 0, scatter = 0;
  for (const NumberAnswer &answer : answers) {
    const double error = answer.predicted - answer.truth;
    mean += answer.truth / count;
    absolute += std::abs(error);
    squared += error * error;
  }
  for (const NumberAnswer &answer : answers) scatter += (answer.truth - mean) * (answer.truth - mean);
  metrics.rmse = std::sqrt(squared / count);
  metrics.mae = absolute / count;
  // Where all true numbers are the same, as scikit-learn has it; told by the numbers, for their mean may be rounded.
  const bool constant = answers.front().truth == answers.back().truth;
  if (answers.size() > 1) metrics.r2 = !constant ? 1 - squared / scatter : squared > 0 ? 0 : 1;
  metrics.ranges = RangesOf(answers);
  metrics.answers = std::move(answers);
  return metrics;
}

NumberMetrics MeanOfOutputs(const std::vector<NumberMetrics> &outputs) {
  if (outputs.size() == 1) return outputs.front();
  NumberMetrics mean;
  const auto count = static_cast<double>(outputs.size());
  for (const NumberMetrics &output : outputs) {
    mean.images = output.images;
    mean.rmse += output.rmse / count;
    mean.mae += output.mae / count;
    mean.r2 += output.r2 / count;
  }
  return mean;
}

}  // namespace trainyard::report
