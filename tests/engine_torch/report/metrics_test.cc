#include "engine_torch/report/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "util/error.h"

namespace trainyard::report {
namespace {

ConfusionMatrix Matrix(const std::vector<std::vector<int64_t>> &rows) {
  ConfusionMatrix matrix;
  for (size_t i = 0; i < rows.size(); ++i) matrix.classes.push_back("class " + std::to_string(i));
  for (const auto &row : rows) matrix.counts.insert(matrix.counts.end(), row.begin(), row.end());
  return matrix;
}

// Computed by hand.
TEST(ReportMetrics, ThreeClasses) {
  const ClassificationMetrics metrics = ComputeMetrics(Matrix({{5, 1, 0}, {2, 3, 1}, {0, 0, 4}}));
  EXPECT_EQ(metrics.images, 16);
  EXPECT_EQ(metrics.correct, 12);
  EXPECT_DOUBLE_EQ(metrics.accuracy, 0.75);
  ASSERT_EQ(metrics.classes.size(), 3u);
  const double precision[] = {5.0 / 7, 3.0 / 4, 4.0 / 5};
  const double recall[] = {5.0 / 6, 3.0 / 6, 4.0 / 4};
  const double f1[] = {10.0 / 13, 6.0 / 10, 8.0 / 9};
  const int64_t support[] = {6, 6, 4};
  const int64_t predicted[] = {7, 4, 5};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_DOUBLE_EQ(metrics.classes[i].precision, precision[i]);
    EXPECT_DOUBLE_EQ(metrics.classes[i].recall, recall[i]);
    EXPECT_DOUBLE_EQ(metrics.classes[i].f1, f1[i]);
    EXPECT_EQ(metrics.classes[i].support, support[i]);
    EXPECT_EQ(metrics.classes[i].predicted, predicted[i]);
  }
  EXPECT_NEAR(metrics.macro.precision, 0.7547619048, 1e-9);
  EXPECT_NEAR(metrics.macro.recall, 0.7777777778, 1e-9);
  EXPECT_NEAR(metrics.macro.f1, 0.7527065527, 1e-9);
  EXPECT_NEAR(metrics.weighted.precision, 0.7491071429, 1e-9);
  EXPECT_NEAR(metrics.weighted.recall, 0.75, 1e-9);
  EXPECT_NEAR(metrics.weighted.f1, 0.7356837607, 1e-9);
  EXPECT_NEAR(metrics.balanced_accuracy, 0.7777777778, 1e-9);
}

// The example in the documentation of sklearn.metrics.classification_report: y_true = [0, 1, 2, 2, 2],
// y_pred = [0, 0, 2, 2, 1], with the numbers it prints.
TEST(ReportMetrics, TheDocumentedExampleOfScikitLearn) {
  const ClassificationMetrics metrics = ComputeMetrics(Matrix({{1, 0, 0}, {1, 0, 0}, {0, 1, 2}}));
  EXPECT_NEAR(metrics.accuracy, 0.60, 0.005);
  const double expected[3][3] = {{0.50, 1.00, 0.67}, {0.00, 0.00, 0.00}, {1.00, 0.67, 0.80}};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(metrics.classes[i].precision, expected[i][0], 0.005);
    EXPECT_NEAR(metrics.classes[i].recall, expected[i][1], 0.005);
    EXPECT_NEAR(metrics.classes[i].f1, expected[i][2], 0.005);
  }
  EXPECT_NEAR(metrics.macro.precision, 0.50, 0.005);
  EXPECT_NEAR(metrics.macro.recall, 0.56, 0.005);
  EXPECT_NEAR(metrics.macro.f1, 0.49, 0.005);
  EXPECT_NEAR(metrics.weighted.precision, 0.70, 0.005);
  EXPECT_NEAR(metrics.weighted.recall, 0.60, 0.005);
  EXPECT_NEAR(metrics.weighted.f1, 0.61, 0.005);
}

TEST(ReportMetrics, WhatIsNotDefinedIsZero) {
  // Class 1 has images and is never predicted, class 2 is predicted and has no images, class 3 does not occur.
  const ClassificationMetrics metrics =
      ComputeMetrics(Matrix({{3, 0, 1, 0}, {2, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}}));
  EXPECT_DOUBLE_EQ(metrics.accuracy, 0.5);
  EXPECT_EQ(metrics.classes[1].precision, 0);
  EXPECT_EQ(metrics.classes[1].f1, 0);
  EXPECT_EQ(metrics.classes[2].recall, 0);
  EXPECT_EQ(metrics.classes[2].f1, 0);
  EXPECT_FALSE(metrics.classes[3].occurs());
  // The mean of three classes, not of four; recall's balanced mean of the two with images.
  EXPECT_DOUBLE_EQ(metrics.macro.precision, 0.6 / 3);
  EXPECT_DOUBLE_EQ(metrics.macro.recall, 0.75 / 3);
  EXPECT_DOUBLE_EQ(metrics.macro.f1, 6.0 / 9 / 3);
  EXPECT_DOUBLE_EQ(metrics.balanced_accuracy, 0.75 / 2);
  EXPECT_DOUBLE_EQ(metrics.weighted.recall, 0.5);
}

TEST(ReportMetrics, NothingMeasuredIsNoNumber) {
  for (const ConfusionMatrix &matrix : {ConfusionMatrix(), Matrix({{0, 0}, {0, 0}})}) {
    const ClassificationMetrics metrics = ComputeMetrics(matrix, {{.k = 5, .correct = 0}});
    EXPECT_EQ(metrics.images, 0);
    for (const double value :
         {metrics.accuracy, metrics.balanced_accuracy, metrics.macro.precision, metrics.macro.recall, metrics.macro.f1,
          metrics.weighted.f1, metrics.accuracy_low, metrics.top_k[0].accuracy}) {
      EXPECT_TRUE(std::isnan(value));
    }
  }
}

TEST(ReportMetrics, TopK) {
  const ClassificationMetrics metrics =
      ComputeMetrics(Matrix({{3, 1}, {1, 3}}), {{.k = 1, .correct = 6}, {.k = 2, .correct = 8}});
  ASSERT_EQ(metrics.top_k.size(), 2u);
  EXPECT_EQ(metrics.top_k[0].k, 1);
  EXPECT_DOUBLE_EQ(metrics.top_k[0].accuracy, 0.75);
  EXPECT_DOUBLE_EQ(metrics.top_k[1].accuracy, 1);
}

// 8 of 10 and 0 of 10 by hand: (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n) with z = 1.96.
TEST(ReportMetrics, TheIntervalIsWilsons) {
  const ClassificationMetrics eight = ComputeMetrics(Matrix({{8, 2}, {0, 0}}));
  EXPECT_NEAR(eight.accuracy_low, 0.4902, 0.0001);
  EXPECT_NEAR(eight.accuracy_high, 0.9433, 0.0001);
  const ClassificationMetrics none = ComputeMetrics(Matrix({{0, 10}, {0, 0}}));
  EXPECT_NEAR(none.accuracy_low, 0, 1e-12);
  EXPECT_NEAR(none.accuracy_high, 0.2775, 0.0001);
}

TEST(ReportMetrics, CountsAreAddedByClass) {
  ConfusionMatrix matrix({"ant", "bee"});
  matrix.Add(0, 1);
  matrix.Add(0, 1, 2);
  matrix.Add(1, 1);
  EXPECT_EQ(matrix.counts, (std::vector<int64_t>{0, 3, 0, 1}));
  EXPECT_EQ(matrix.At(0, 1), 3);
  for (const int64_t wrong : {int64_t{-1}, int64_t{2}, std::numeric_limits<int64_t>::max()}) {
    EXPECT_THROW(matrix.Add(wrong, 0), Error);
    EXPECT_THROW(matrix.Add(0, wrong), Error);
  }
}

TEST(ReportMetrics, WhatMakesNoSenseIsRefused) {
  ConfusionMatrix crooked({"ant", "bee"});
  crooked.counts.pop_back();
  EXPECT_THROW(ComputeMetrics(crooked), Error);
  EXPECT_THROW(ComputeMetrics(Matrix({{1, -1}, {0, 1}})), Error);
  EXPECT_THROW(ComputeMetrics(Matrix({{1, 0}, {0, 1}}), {{.k = 2, .correct = 3}}), Error);
  EXPECT_THROW(ComputeMetrics(Matrix({{1, 0}, {0, 1}}), {{.k = 0, .correct = 1}}), Error);
}

}  // namespace
}  // namespace trainyard::report
