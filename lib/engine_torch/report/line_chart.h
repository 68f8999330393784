// Curves over epochs as inline SVG: lines with gaps where there is no number, a mark at one epoch, and for every place
// on the epoch axis a strip whose tooltip tells the values. Nothing here needs a script. Colours come from the style
// sheet (style.h). Thread rule: values and functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine_torch/report/html.h"

namespace trainyard::report {

struct Curve {
  std::string name;
  std::vector<double> values;  // one per epoch; not finite: a gap
};

struct LineChart {
  enum class Unit { kNumber, kPercent };

  std::string title;
  Unit unit = Unit::kNumber;
  bool steps = false;           // a value holds from its epoch to the next one
  std::vector<int64_t> epochs;  // ascending
  std::vector<Curve> curves;    // at most two: their strokes differ
  int64_t marked_epoch = 0;     // 0: none
};

// "" when there is no finite value at all.
std::string RenderLineChart(const LineChart &chart);

// Neighbouring values of a curve that are drawn as one: their range as a band, so that no spike is lost, and their mean
// as the line; of steps the last value. NaN when none of them is finite.
struct ValueGroup {
  size_t first = 0;
  size_t end = 0;
  double least = 0;
  double greatest = 0;
  double mean = 0;
  double last = 0;
};

// At most `most` groups of about equal size, in order; one for each value when there are no more than that.
std::vector<ValueGroup> GroupValues(std::span<const double> values, size_t most);

// An axis from `low` to `high` with round numbers for ticks. Logarithmic when all values are positive and the greatest
// is at least `logarithmic_from` times the least.
struct Axis {
  double low = 0;
  double high = 1;
  bool logarithmic = false;
  std::vector<double> ticks;

  double Place(double value) const;  // 0 at low, 1 at high, and never outside
};
Axis PlanAxis(double least, double greatest, LineChart::Unit unit, double logarithmic_from);
// Short enough for the room beside the axis.
std::string TickLabel(double value, LineChart::Unit unit);

}  // namespace trainyard::report
