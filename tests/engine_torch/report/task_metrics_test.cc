#include "engine_torch/report/task_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace trainyard::report {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<ScoredTruth> Scored(const std::vector<double> &scores, const std::vector<int> &truths) {
  std::vector<ScoredTruth> answers;
  for (size_t i = 0; i < scores.size(); ++i) answers.push_back({scores[i], truths[i] != 0});
  return answers;
}

// The examples in the documentation of sklearn.metrics.roc_auc_score and average_precision_score.
TEST(TaskMetrics, TheDocumentedExamplesOfScikitLearn) {
  const std::vector<ScoredTruth> answers = Scored({0.1, 0.4, 0.35, 0.8}, {0, 0, 1, 1});
  EXPECT_DOUBLE_EQ(RocAuc(answers), 0.75);
  EXPECT_NEAR(AveragePrecision(answers), 0.8333333333, 1e-9);
  const NumberMetrics numbers = ComputeNumberMetrics({{3, 2.5}, {-0.5, 0}, {2, 2}, {7, 8}});
  EXPECT_NEAR(numbers.r2, 0.9486081370, 1e-9);
  EXPECT_DOUBLE_EQ(numbers.mae, 0.5);
  EXPECT_NEAR(numbers.rmse, 0.6123724357, 1e-9);
}

TEST(TaskMetrics, EqualScoresCountHalf) {
  EXPECT_DOUBLE_EQ(RocAuc(Scored({1, 1, 1, 1}, {0, 1, 1, 0})), 0.5);
  EXPECT_DOUBLE_EQ(AveragePrecision(Scored({1, 1, 1, 1}, {0, 1, 1, 0})), 0.5);
  // Of the four pairs two are right, one is even, one wrong.
  EXPECT_DOUBLE_EQ(RocAuc(Scored({3, 2, 2, 1}, {1, 1, 0, 0})), 3.5 / 4);
  EXPECT_DOUBLE_EQ(RocAuc(Scored({3, 2, 1}, {0, 0, 1})), 0);
  const double infinite = std::numeric_limits<double>::infinity();
  EXPECT_DOUBLE_EQ(RocAuc(Scored({infinite, -infinite, infinite}, {1, 0, 1})), 1);
}

TEST(TaskMetrics, WhatSaysNothingIsNotDefined) {
  EXPECT_TRUE(std::isnan(RocAuc({})));
  EXPECT_TRUE(std::isnan(RocAuc(Scored({1, 2}, {1, 1}))));
  EXPECT_TRUE(std::isnan(RocAuc(Scored({1, 2}, {0, 0}))));
  EXPECT_TRUE(std::isnan(RocAuc(Scored({1, kNan}, {0, 1}))));
  EXPECT_TRUE(std::isnan(AveragePrecision(Scored({1, 2}, {0, 0}))));
  EXPECT_TRUE(std::isnan(AveragePrecision(Scored({kNan, 2}, {0, 1}))));
  EXPECT_EQ(AveragePrecision(Scored({1, 2}, {1, 1})), 1);
}

// Forty images, four labels, many equal scores; scikit-learn 1.9.1 gave the numbers.
ScoredTruth SampleAnswer(size_t label, size_t image) {
  const bool truth = (image * image + 3 * label * image + label) % 7 < label + 1;
  const auto raw = static_cast<double>((image * 37 + label * 11) % 23);
  return {(raw - 11 + (truth ? 6 : 0)) / 4 - 1, truth};
}

TEST(TaskMetrics, LabelsAreScoredAsScikitLearnDoes) {
  const LabelMetrics metrics = ComputeLabelMetrics(4, 40, SampleAnswer);
  EXPECT_EQ(metrics.images, 40);
  EXPECT_NEAR(metrics.accuracy, 0.1, 1e-12);
  EXPECT_NEAR(metrics.f1_micro, 0.5669291338582677, 1e-12);
  EXPECT_NEAR(metrics.f1_macro, 0.5189615452773347, 1e-12);
  EXPECT_NEAR(metrics.average_precision_macro, 0.634960241316264, 1e-12);
  EXPECT_NEAR(metrics.roc_auc_macro, 0.6914533103601942, 1e-12);
  const double precision[] = {0.32275922162345677, 0.6742783605283607, 0.867764733037824, 0.6750386500754149};
  const double auc[] = {0.5735294117647058, 0.7708333333333334, 0.6974921630094044, 0.7239583333333334};
  ASSERT_THAT(metrics.labels, SizeIs(4));
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(metrics.labels[i].average_precision, precision[i], 1e-12) << i;
    EXPECT_NEAR(metrics.labels[i].roc_auc, auc[i], 1e-12) << i;
  }
}

TEST(TaskMetrics, LabelsThatNoImageHasAreLeftOutOfRankings) {
  // Label 0: both right; label 1: never there, told once.
  const LabelMetrics metrics = ComputeLabelMetrics(2, 2, [](size_t label, size_t image) {
    if (label == 1) return ScoredTruth{image == 0 ? 1.0 : -1.0, false};
    return ScoredTruth{image == 0 ? 1.0 : -1.0, image == 0};
  });
  EXPECT_EQ(metrics.all_right, 1);
  EXPECT_DOUBLE_EQ(metrics.f1_macro, 0.5);
  EXPECT_DOUBLE_EQ(metrics.f1_micro, 2.0 / 3);
  EXPECT_DOUBLE_EQ(metrics.average_precision_macro, 1);
  EXPECT_DOUBLE_EQ(metrics.roc_auc_macro, 1);
  EXPECT_TRUE(std::isnan(metrics.labels[1].average_precision) && std::isnan(metrics.labels[1].roc_auc));

  const LabelMetrics none = ComputeLabelMetrics(2, 0, [](size_t, size_t) { return ScoredTruth(); });
  for (const double value : {none.accuracy, none.f1_micro, none.f1_macro, none.average_precision_macro}) {
    EXPECT_TRUE(std::isnan(value));
  }
}

TEST(TaskMetrics, NumbersAreScoredAsScikitLearnDoes) {
  std::vector<NumberAnswer> answers;
  for (int i = 0; i < 40; ++i) {
    const double truth = (i * 17 % 29) / 4.0;
    answers.push_back({truth, truth * 0.75 + (i * 13 % 11) / 8.0 - 0.25});
  }
  const NumberMetrics metrics = ComputeNumberMetrics(answers);
  EXPECT_NEAR(metrics.rmse, 0.8129806270754549, 1e-12);
  EXPECT_NEAR(metrics.mae, 0.65, 1e-12);
  EXPECT_NEAR(metrics.r2, 0.8531198999965276, 1e-12);

  EXPECT_TRUE(std::isnan(ComputeNumberMetrics({}).rmse));
  EXPECT_TRUE(std::isnan(ComputeNumberMetrics({{1, 1}}).r2));
  // All true numbers the same, and of a mean that is rounded.
  EXPECT_EQ(ComputeNumberMetrics({{0.1, 0.1}, {0.1, 0.1}, {0.1, 0.1}}).r2, 1);
  EXPECT_EQ(ComputeNumberMetrics({{0.1, 0.1}, {0.1, 0.2}, {0.1, 0.1}}).r2, 0);
}

TEST(TaskMetrics, RangesHoldAboutEquallyManyImages) {
  const NumberMetrics few = ComputeNumberMetrics({{2, 3}, {1, 1}, {2, 1}, {1, 2}});
  ASSERT_THAT(few.ranges, SizeIs(2));
  EXPECT_EQ(few.ranges[0].low, 1);
  EXPECT_EQ(few.ranges[0].high, 1);
  EXPECT_EQ(few.ranges[0].images, 2);
  EXPECT_DOUBLE_EQ(few.ranges[0].mean_predicted, 1.5);
  EXPECT_DOUBLE_EQ(few.ranges[0].mae, 0.5);
  EXPECT_DOUBLE_EQ(few.ranges[1].mae, 1);

  std::vector<NumberAnswer> many;
  for (int i = 0; i < 1000; ++i) many.push_back({static_cast<double>(i / 2), 0});
  many.insert(many.end(), 300, {7, 7});
  const std::vector<NumberRange> ranges = ComputeNumberMetrics(many).ranges;
  EXPECT_LE(ranges.size(), kMostRanges);
  EXPECT_GE(ranges.size(), 6u);
  int64_t images = 0;
  for (size_t i = 0; i < ranges.size(); ++i) {
    images += ranges[i].images;
    EXPECT_LE(ranges[i].low, ranges[i].high);
    if (i == 0) continue;
    EXPECT_GT(ranges[i].low, ranges[i - 1].high) << "images of the same number are together";
  }
  EXPECT_EQ(images, 1300);
}

}  // namespace
}  // namespace trainyard::report
