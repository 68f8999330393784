// How good a classifier is, from counts of what was taken for what. The definitions are scikit-learn's
// (sklearn.metrics, https://scikit-learn.org/stable/modules/model_evaluation.html#classification-metrics), so that the
// numbers are those of accuracy_score, balanced_accuracy_score, precision_recall_fscore_support(zero_division=0) and
// top_k_accuracy_score. With tp, fp, fn the images of a class that were rightly, wrongly, and not taken for it:
//   precision = tp / (tp + fp)    recall = tp / (tp + fn)    F1 = 2 tp / (2 tp + fp + fn)
// and where a denominator is 0 the number is 0. The macro average is the plain mean over the classes that occur, as
// true or as predicted ones (labels=None there); the weighted one counts each class by its support. Balanced accuracy
// is the mean recall of the classes that have images.
//
// Thread rule: values and functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace trainyard::report {

struct ConfusionMatrix {
  ConfusionMatrix() = default;
  explicit ConfusionMatrix(std::vector<std::string> names);

  std::vector<std::string> classes;
  std::vector<int64_t> counts;  // [true class][predicted class], row by row

  size_t size() const { return classes.size(); }
  int64_t At(size_t truth, size_t predicted) const { return counts[truth * size() + predicted]; }
  // Throws kInvalidArgument for a number that is no class.
  void Add(int64_t truth, int64_t predicted, int64_t images = 1);
};

// Images whose true class was among the k most probable ones.
struct TopKCount {
  int64_t k = 0;
  int64_t correct = 0;
};

struct ClassMetrics {
  int64_t support = 0;    // images of the class: tp + fn
  int64_t predicted = 0;  // images taken for it: tp + fp
  int64_t correct = 0;    // tp
  double precision = 0;
  double recall = 0;
  double f1 = 0;

  bool occurs() const { return support > 0 || predicted > 0; }
};

// Of how many images are of a class, were taken for it, and were rightly so.
ClassMetrics MetricsOfCounts(int64_t support, int64_t predicted, int64_t correct);

struct AverageMetrics {
  double precision = 0;
  double recall = 0;
  double f1 = 0;
};

struct TopKAccuracy {
  int64_t k = 0;
  double accuracy = 0;
};

// Every share is NaN when there are no images.
struct ClassificationMetrics {
  int64_t images = 0;
  int64_t correct = 0;
  double accuracy = 0;
  double balanced_accuracy = 0;
  // Wilson's score interval of the accuracy at 95 % (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927): what so few or so
  // many images say about others of their kind.
  double accuracy_low = 0;
  double accuracy_high = 0;
  std::vector<ClassMetrics> classes;
  AverageMetrics macro;
  AverageMetrics weighted;
  std::vector<TopKAccuracy> top_k;
};

// Throws kInvalidArgument: a matrix that is not classes x classes, a negative count, a top-k count that is more than
// there are images.
ClassificationMetrics ComputeMetrics(const ConfusionMatrix &confusion, const std::vector<TopKCount> &top_k = {});

}  // namespace trainyard::report
