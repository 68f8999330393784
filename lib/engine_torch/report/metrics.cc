#include "engine_torch/report/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "util/error.h"

namespace trainyard::report {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double Share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

void Check(const ConfusionMatrix &confusion) {
  if (confusion.counts.size() != confusion.size() * confusion.size()) {
    throw Error::InvalidArgument("a confusion matrix of " + std::to_string(confusion.size()) + " classes has " +
                                 std::to_string(confusion.size() * confusion.size()) + " counts, got " +
                                 std::to_string(confusion.counts.size()));
  }
  const auto negative = std::find_if(confusion.counts.begin(), confusion.counts.end(), [](int64_t n) { return n < 0; });
  if (negative != confusion.counts.end()) {
    throw Error::InvalidArgument("a confusion matrix has no negative counts, got " + std::to_string(*negative));
  }
}

std::vector<ClassMetrics> PerClass(const ConfusionMatrix &confusion) {
  std::vector<ClassMetrics> classes(confusion.size());
  for (size_t truth = 0; truth < confusion.size(); ++truth) {
    for (size_t predicted = 0; predicted < confusion.size(); ++predicted) {
      const int64_t images = confusion.At(truth, predicted);
      classes[truth].support += images;
      classes[predicted].predicted += images;
      if (truth == predicted) classes[truth].correct = images;
    }
  }
  for (ClassMetrics &one : classes) one = MetricsOfCounts(one.support, one.predicted, one.correct);
  return classes;
}

void Average(ClassificationMetrics *metrics) {
  double occurring = 0;
  double with_images = 0;
  metrics->balanced_accuracy = 0;
  metrics->macro = metrics->weighted = {};
  for (const ClassMetrics &one : metrics->classes) {
    if (!one.occurs()) continue;
    ++occurring;
    metrics->macro.precision += one.precision;
    metrics->macro.recall += one.recall;
    metrics->macro.f1 += one.f1;
    if (one.support == 0) continue;
    ++with_images;
    metrics->balanced_accuracy += one.recall;
    const double weight = Share(one.support, metrics->images);
    metrics->weighted.precision += weight * one.precision;
    metrics->weighted.recall += weight * one.recall;
    metrics->weighted.f1 += weight * one.f1;
  }
  metrics->macro.precision /= occurring;
  metrics->macro.recall /= occurring;
  metrics->macro.f1 /= occurring;
  metrics->balanced_accuracy /= with_images;
}

void Interval(ClassificationMetrics *metrics) {
  constexpr double kZ = 1.959963984540054;  // the normal distribution's 97.5 % quantile
  const auto n = static_cast<double>(metrics->images);
  const double p = metrics->accuracy;
  const double centre = (p + kZ * kZ / (2 * n)) / (1 + kZ * kZ / n);
  const double half = kZ / (1 + kZ * kZ / n) * std::sqrt(p * (1 - p) / n + kZ * kZ / (4 * n * n));
  metrics->accuracy_low = std::max(0.0, centre - half);
  metrics->accuracy_high = std::min(1.0, centre + half);
}

}  // namespace

ConfusionMatrix::ConfusionMatrix(std::vector<std::string> names) : classes(std::move(names)) {
  counts.resize(classes.size() * classes.size());
}

void ConfusionMatrix::Add(int64_t truth, int64_t predicted, int64_t images) {
  const auto limit = static_cast<int64_t>(size());
  for (const int64_t number : {truth, predicted}) {
    if (number < 0 || number >= limit) {
      throw Error::InvalidArgument("class " + std::to_string(number) + " is none of the " + std::to_string(limit) +
                                   " classes of the confusion matrix");
    }
  }
  counts[static_cast<size_t>(truth * limit + predicted)] += images;
}

ClassMetrics MetricsOfCounts(int64_t support, int64_t predicted, int64_t correct) {
  return {.support = support,
          .predicted = predicted,
          .correct = correct,
          .precision = Share(correct, predicted),
          .recall = Share(correct, support),
          .f1 = Share(2 * correct, support + predicted)};
}

ClassificationMetrics ComputeMetrics(const ConfusionMatrix &confusion, const std::vector<TopKCount> &top_k) {
  Check(confusion);
  ClassificationMetrics metrics;
  metrics.classes = PerClass(confusion);
  for (const ClassMetrics &one : metrics.classes) {
    metrics.images += one.support;
    metrics.correct += one.correct;
  }
  for (const TopKCount &count : top_k) {
    if (count.k < 1 || count.correct < 0 || count.correct > metrics.images) {
      throw Error::InvalidArgument("top-" + std::to_string(count.k) + " of " + std::to_string(metrics.images) +
                                   " images cannot be right for " + std::to_string(count.correct));
    }
  }
  if (metrics.images == 0) {
    metrics.accuracy = metrics.balanced_accuracy = metrics.accuracy_low = metrics.accuracy_high = kNan;
    metrics.macro = metrics.weighted = {kNan, kNan, kNan};
    for (const TopKCount &count : top_k) metrics.top_k.push_back({count.k, kNan});
    return metrics;
  }
  metrics.accuracy = Share(metrics.correct, metrics.images);
  Average(&metrics);
  Interval(&metrics);
  for (const TopKCount &count : top_k) metrics.top_k.push_back({count.k, Share(count.correct, metrics.images)});
  return metrics;
}

}  // namespace trainyard::report
