#include "engine_torch/report/line_chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace trainyard::report {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kLogarithmicFrom = 30;

size_t CountOf(const std::string &text, const std::string &part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

LineChart Chart(std::vector<double> values) {
  LineChart chart;
  chart.title = "Loss";
  for (size_t i = 0; i < values.size(); ++i) chart.epochs.push_back(static_cast<int64_t>(i) + 1);
  chart.curves = {{"training", std::move(values)}};
  return chart;
}

TEST(ReportThinning, FewValuesAllStay) {
  const std::vector<double> values = {3, 1, 2};
  const std::vector<ValueGroup> groups = GroupValues(values, 10);
  ASSERT_EQ(groups.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(groups[i].first, i);
    EXPECT_EQ(groups[i].end, i + 1);
    for (const double value : {groups[i].least, groups[i].greatest, groups[i].mean}) EXPECT_EQ(value, values[i]);
  }
  EXPECT_TRUE(GroupValues(std::vector<double>{}, 10).empty());
}

TEST(ReportThinning, GroupsCoverAllValuesAndKeepEverySpike) {
  std::vector<double> values(10007, 1);
  values[0] = 5;
  values[4321] = 7;
  values[8765] = -7;
  values[10006] = 3;
  const std::vector<ValueGroup> groups = GroupValues(values, 150);
  ASSERT_EQ(groups.size(), 150u);
  size_t next = 0;
  for (const ValueGroup &group : groups) {
    EXPECT_EQ(group.first, next);
    EXPECT_TRUE(group.end - group.first == 66 || group.end - group.first == 67);
    next = group.end;
    const auto [least, greatest] = std::minmax_element(values.begin() + static_cast<std::ptrdiff_t>(group.first),
                                                       values.begin() + static_cast<std::ptrdiff_t>(group.end));
    EXPECT_EQ(group.least, *least);
    EXPECT_EQ(group.greatest, *greatest);
  }
  EXPECT_EQ(next, values.size());
  EXPECT_EQ(groups.front().greatest, 5);
  EXPECT_EQ(groups.back().greatest, 3);
}

TEST(ReportThinning, WhatIsNoNumberDoesNotCount) {
  const std::vector<double> values = {kNan, 1, kInf, 2, -kInf, kNan};
  const std::vector<ValueGroup> groups = GroupValues(values, 2);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].mean, 1);
  EXPECT_EQ(groups[1].greatest, 2);
  EXPECT_EQ(groups[1].last, 2);
  EXPECT_DOUBLE_EQ(GroupValues(values, 1)[0].mean, 1.5);
  EXPECT_TRUE(std::isnan(GroupValues(std::vector<double>{kNan, kInf}, 1)[0].least));
  EXPECT_EQ(GroupValues(std::vector<double>{1e308, 1e308, 1e308}, 1)[0].mean, 1e308);
}

TEST(ReportAxis, TicksAreRound) {
  const Axis axis = PlanAxis(0.13, 0.71, LineChart::Unit::kNumber, kLogarithmicFrom);
  EXPECT_FALSE(axis.logarithmic);
  EXPECT_THAT(axis.ticks, ElementsAre(DoubleNear(0, 1e-12), DoubleNear(0.2, 1e-12), DoubleNear(0.4, 1e-12),
                                      DoubleNear(0.6, 1e-12), DoubleNear(0.8, 1e-12)));
  EXPECT_NEAR(axis.Place(0.4), 0.5, 1e-9);
}

TEST(ReportAxis, SharesStayBetweenNoneAndAll) {
  for (const auto &[least, greatest] : {std::pair{0.0, 0.0}, {1.0, 1.0}, {0.5, 1.0}, {0.0, 1.0}, {0.97, 0.98}}) {
    const Axis axis = PlanAxis(least, greatest, LineChart::Unit::kPercent, kLogarithmicFrom);
    EXPECT_GE(axis.low, -1e-9);
    EXPECT_LE(axis.high, 1 + 1e-9);
    EXPECT_GE(axis.ticks.size(), 2u);
  }
}

TEST(ReportAxis, FactorsAreLogarithmic) {
  const Axis axis = PlanAxis(1e-5, 0.001, LineChart::Unit::kNumber, kLogarithmicFrom);
  EXPECT_TRUE(axis.logarithmic);
  EXPECT_EQ(axis.ticks.size(), 3u);
  EXPECT_NEAR(axis.Place(1e-4), 0.5, 1e-6);
  EXPECT_FALSE(PlanAxis(0, 1000, LineChart::Unit::kNumber, kLogarithmicFrom).logarithmic);
  EXPECT_LE(PlanAxis(1e-300, 1e300, LineChart::Unit::kNumber, kLogarithmicFrom).ticks.size(), 7u);
}

// Losses come as they are: equal, tiny, huge, next to each other.
TEST(ReportAxis, AnyValuesGiveAnAxis) {
  const double values[] = {0, 1, -1, 1e-320, 1e-30, 1e308, -1e308, 3, 3 + 1e-15, 0.1, 123456789};
  for (const double a : values) {
    for (const double b : values) {
      const Axis axis = PlanAxis(std::min(a, b), std::max(a, b), LineChart::Unit::kNumber, kLogarithmicFrom);
      EXPECT_GE(axis.ticks.size(), 2u) << a << " " << b;
      EXPECT_LE(axis.ticks.size(), 12u) << a << " " << b;
      for (const double value : {a, b}) {
        EXPECT_GE(axis.Place(value), 0) << a << " " << b;
        EXPECT_LE(axis.Place(value), 1) << a << " " << b;
      }
    }
  }
}

TEST(ReportLineChart, PointsTooltipsAndTheMark) {
  LineChart chart = Chart({0.8, 0.4, 0.2});
  chart.marked_epoch = 3;
  const std::string svg = RenderLineChart(chart);
  EXPECT_EQ(CountOf(svg, "<circle"), 3u);
  EXPECT_EQ(CountOf(svg, "<rect"), 3u);
  EXPECT_THAT(svg, HasSubstr("<title>epoch 2\ntraining 0.4</title>"));
  EXPECT_THAT(svg, HasSubstr("class=\"best\""));
  EXPECT_THAT(svg, HasSubstr("Loss by epoch, 1 to 3. training: from 0.8 to 0.2, least 0.2, greatest 0.8."));
  chart.marked_epoch = 4;  // not among them
  EXPECT_THAT(RenderLineChart(chart), Not(HasSubstr("class=\"best\"")));
}

TEST(ReportLineChart, GapsBreakTheLine) {
  const std::string svg = RenderLineChart(Chart({1, 0.9, kNan, 0.7, kInf, 0.5, 0.4}));
  const size_t line = svg.find("class=\"line c0\" d=\"");
  const std::string path = svg.substr(line, svg.find("\"/>", line) - line);
  EXPECT_EQ(CountOf(path, "M"), 3u);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(ReportLineChart, ThousandsOfEpochsAreThinned) {
  std::vector<double> values;
  for (int i = 0; i < 20000; ++i) values.push_back(1 + std::sin(i));
  const std::string svg = RenderLineChart(Chart(values));
  EXPECT_LT(svg.size(), 40000u);
  EXPECT_EQ(CountOf(svg, "class=\"band c0\""), 1u);
  EXPECT_EQ(CountOf(svg, "<circle"), 0u);
  EXPECT_LE(CountOf(svg, "<rect"), 150u);
  EXPECT_THAT(svg, HasSubstr("epochs 1 to 133\n"));
}

TEST(ReportLineChart, NoNumbersNoPicture) {
  EXPECT_EQ(RenderLineChart(Chart({kNan, kInf})), "");
  EXPECT_EQ(RenderLineChart(Chart({})), "");
  EXPECT_EQ(CountOf(RenderLineChart(Chart({0.5})), "<circle"), 1u);
}

TEST(ReportLineChart, RatesAreSteps) {
  LineChart chart = Chart({0.1, 0.1, 0.01});
  chart.steps = true;
  const std::string svg = RenderLineChart(chart);
  EXPECT_THAT(svg, HasSubstr("logarithmic scale</span>"));
  EXPECT_THAT(svg, HasSubstr(">0.01</text>"));
  const size_t line = svg.find("class=\"line c0\" d=\"");
  EXPECT_EQ(CountOf(svg.substr(line, svg.find("\"/>", line) - line), "H"), 2u);
}

}  // namespace
}  // namespace trainyard::report
