// How good a model is that tells labels or numbers, from what it said of each image. (Of classes: metrics.h.) The
// definitions are scikit-learn's (sklearn.metrics), so that the numbers are those of roc_auc_score,
// average_precision_score, f1_score(average="micro" or "macro", zero_division=0) over all labels, accuracy_score (of
// labels: all of an image's right), root_mean_squared_error, mean_absolute_error and r2_score. Where scikit-learn
// leaves something undefined, a label whose images all have it or all lack it, the number is NaN, and a mean is taken
// over the labels that have one.
//
// Thread rule: values and functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "engine_torch/report/metrics.h"

namespace trainyard::report {

// What was said of one image about one label, or about the second of two classes: the higher, the surer.
struct ScoredTruth {
  double score = 0;
  bool truth = false;
};

// The area under the curve of true against false positives: how likely a positive one is scored above a negative one,
// equal scores counting half. NaN when all are of one kind, or a score is NaN.
double RocAuc(std::vector<ScoredTruth> answers);

// The sum over the thresholds, highest first, of precision times what recall gained. NaN when none is positive, or a
// score is NaN.
double AveragePrecision(std::vector<ScoredTruth> answers);

struct LabelScore {
  ClassMetrics counts;  // a label is told where its score is above 0, its probability above a half
  double average_precision = 0;
  double roc_auc = 0;
};

// Every share is NaN when there are no images.
struct LabelMetrics {
  int64_t images = 0;
  int64_t all_right = 0;  // images whose labels are all right
  double accuracy = 0;    // their share
  double f1_micro = 0;
  double f1_macro = 0;
  double average_precision_macro = 0;  // "mean average precision"
  double roc_auc_macro = 0;
  std::vector<LabelScore> labels;
};

// `answer` tells of a label and an image; it is asked label by label, so that no more than one label's are in memory.
LabelMetrics ComputeLabelMetrics(size_t labels, size_t images,
                                 const std::function<ScoredTruth(size_t label, size_t image)> &answer);

struct NumberAnswer {
  double truth = 0;
  double predicted = 0;
};

// The images whose true number is from `low` to `high`.
struct NumberRange {
  double low = 0;
  double high = 0;
  int64_t images = 0;
  double mean_truth = 0;
  double mean_predicted = 0;
  double mae = 0;
};

inline constexpr size_t kMostRanges = 10;

// NaN when there are no images; r2 also of a single one.
struct NumberMetrics {
  int64_t images = 0;
  double rmse = 0;
  double mae = 0;
  double r2 = 0;
  // Of the images by their true number: one for each number when there are no more than kMostRanges, else ranges of
  // about equally many images. Images of the same number are in the same range.
  std::vector<NumberRange> ranges;
  std::vector<NumberAnswer> answers;  // in the order of their true numbers
};

NumberMetrics ComputeNumberMetrics(std::vector<NumberAnswer> answers);

// Of several numbers of each image: the means of their rmse, mae and r2 (scikit-learn's multioutput="uniform_average"),
// without ranges and answers. Of one number that number's, whole.
NumberMetrics MeanOfOutputs(const std::vector<NumberMetrics> &outputs);

}  // namespace trainyard::report
