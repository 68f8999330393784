// The part of the report about classes: the confusion matrix, and precision, recall and F1 of each class. With more
// than kMostMatrixClasses classes a matrix cannot be read any more: the pairs most often confused and the classes with
// the lowest F1 stand in its place. Thread rule: functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine_torch/report/metrics.h"

namespace trainyard::report {

inline constexpr size_t kMostMatrixClasses = 30;
inline constexpr size_t kMostPairs = 20;

struct ConfusedPair {
  size_t truth = 0;
  size_t predicted = 0;
  int64_t images = 0;
};

// Most images first; among equals the greater share of its true class, then the order of the classes.
std::vector<ConfusedPair> MostConfused(const ConfusionMatrix &confusion, const ClassificationMetrics &metrics,
                                       size_t most);
// Of the classes that occur, lowest F1 first; among equals the one with more images.
std::vector<size_t> WorstClasses(const ClassificationMetrics &metrics, size_t most);

// `metrics` are those of `confusion`, which has at least one image.
std::string RenderClasses(const ConfusionMatrix &confusion, const ClassificationMetrics &metrics);

}  // namespace trainyard::report
