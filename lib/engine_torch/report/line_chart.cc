#include "engine_torch/report/line_chart.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace trainyard::report {
namespace {

// The picture in its own units; the page scales it to about one CSS pixel each.
constexpr double kWidth = 400;
constexpr double kHeight = 240;
constexpr double kLeft = 52;
constexpr double kRight = 14;
constexpr double kTop = 20;
constexpr double kBottom = 40;
constexpr double kPlotWidth = kWidth - kLeft - kRight;
constexpr double kPlotHeight = kHeight - kTop - kBottom;
constexpr double kBaseline = kHeight - kBottom;

constexpr size_t kGroups = 150;              // more points than that cannot be told apart in such a picture
constexpr size_t kMostMarkedEpochs = 40;     // single epochs are marked when there are so few
constexpr double kLogarithmicFrom = 30;      // losses that explode
constexpr double kStepsLogarithmicFrom = 5;  // learning rates fall by factors
// Beyond these, differences and ratios leave the range of a double.
constexpr double kGreatest = 1e300;
constexpr double kLeast = 1e-300;

// The least of 1, 2, 5 and 10 times a power of ten that is not below `raw`.
double RoundStep(double raw) {
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power * 1.0000001) return factor * power;
  }
  return 10 * power;
}

double InRange(double value) {
  return std::abs(value) < kLeast ? 0 : std::clamp(value, -kGreatest, kGreatest);
}

Axis LogarithmicAxis(double least, double greatest) {
  auto first = static_cast<int>(std::floor(std::log10(least) + 1e-9));
  auto last = static_cast<int>(std::ceil(std::log10(greatest) - 1e-9));
  last = std::max(last, first + 1);
  Axis axis;
  axis.logarithmic = true;
  axis.low = std::pow(10, first);
  axis.high = std::pow(10, last);
  const int every = (last - first + 4) / 5;
  for (int exponent = first; exponent <= last; exponent += every) axis.ticks.push_back(std::pow(10, exponent));
  return axis;
}

std::string Value(double value, LineChart::Unit unit) {
  return unit == LineChart::Unit::kPercent ? Percent(value) : Number(value);
}

class Picture {
 public:
  Picture(const LineChart &chart, const Axis &axis) : chart_(chart), axis_(axis) {
    for (const Curve &curve : chart.curves) groups_.push_back(GroupValues(curve.values, kGroups));
  }

  std::string Render() {
    Html figure;
    figure.Raw("<figure class=\"chart\"><figcaption><b>").Text(chart_.title).Raw("</b>");
    for (size_t i = 0; i < chart_.curves.size() && chart_.curves.size() > 1; ++i) {
      figure.Raw(" <span class=\"key k").Raw(static_cast<int64_t>(i)).Raw("\">").Text(chart_.curves[i].name);
      figure.Raw("</span>");
    }
    if (axis_.logarithmic) figure.Raw(" <span class=\"scale\">logarithmic scale</span>");
    figure.Raw("</figcaption><svg viewBox=\"0 0 " + Fixed(kWidth, 0) + " " + Fixed(kHeight, 0) +
               "\" role=\"img\" aria-label=\"");
    figure.Text(Summary()).Raw("\">");
    figure.Raw(Grid()).Raw(Mark());
    for (size_t i = 0; i < chart_.curves.size(); ++i) figure.Raw(Line(i));
    figure.Raw(Strips()).Raw("</svg></figure>\n");
    return figure.str();
  }

 private:
  double X(int64_t epoch) const {
    const auto first = static_cast<double>(chart_.epochs.front());
    const auto last = static_cast<double>(chart_.epochs.back());
    if (first >= last) return kLeft + kPlotWidth / 2;
    return kLeft + (static_cast<double>(epoch) - first) / (last - first) * kPlotWidth;
  }
  double Y(double value) const { return kBaseline - axis_.Place(value) * kPlotHeight; }

  bool Marked() const { return std::binary_search(chart_.epochs.begin(), chart_.epochs.end(), chart_.marked_epoch); }

  // What a reader who does not see the picture is told.
  std::string Summary() const {
    std::string text = chart_.title + " by epoch, " + std::to_string(chart_.epochs.front()) + " to " +
                       std::to_string(chart_.epochs.back());
    for (size_t i = 0; i < chart_.curves.size(); ++i) {
      const std::vector<double> &values = chart_.curves[i].values;
      const ValueGroup all = GroupValues(values, 1).front();
      const auto finite = [](double value) { return std::isfinite(value); };
      const auto first = std::find_if(values.begin(), values.end(), finite);
      if (first == values.end()) continue;
      const auto last = std::find_if(values.rbegin(), values.rend(), finite);
      text += ". " + chart_.curves[i].name + ": from " + Value(*first, chart_.unit) + " to " +
              Value(*last, chart_.unit) + ", least " + Value(all.least, chart_.unit) + ", greatest " +
              Value(all.greatest, chart_.unit);
    }
    return text + ".";
  }

  std::string Grid() const {
    Html grid;
    grid.Raw("<g class=\"grid\">");
    for (const double tick : axis_.ticks) {
      const std::string y = Fixed(Y(tick), 1);
      grid.Raw("<path d=\"M" + Fixed(kLeft, 0) + " " + y + "H" + Fixed(kWidth - kRight, 0) + "\"/>");
      grid.Raw("<text class=\"ty\" x=\"" + Fixed(kLeft - 6, 0) + "\" y=\"" + y + "\" dy=\".35em\">");
      grid.Raw(TickLabel(tick, chart_.unit)).Raw("</text>");
    }
    for (const int64_t epoch : EpochTicks()) {
      grid.Raw("<text class=\"tx\" x=\"" + Fixed(X(epoch), 1) + "\" y=\"" + Fixed(kBaseline + 16, 0) + "\">");
      grid.Raw(epoch).Raw("</text>");
    }
    grid.Raw("<text class=\"tx\" x=\"" + Fixed(kLeft + kPlotWidth / 2, 1) + "\" y=\"" + Fixed(kHeight - 6, 0));
    return grid.Raw("\">epoch</text></g>").str();
  }

  std::vector<int64_t> EpochTicks() const {
    const int64_t first = chart_.epochs.front();
    const int64_t last = chart_.epochs.back();
    if (first == last) return {first};
    const auto step = static_cast<int64_t>(std::max(1.0, RoundStep(static_cast<double>(last - first) / 6)));
    std::vector<int64_t> ticks = {first};
    for (int64_t epoch = (first / step + 1) * step; epoch <= last; epoch += step) {
      if (epoch - ticks.back() >= step * 3 / 5) ticks.push_back(epoch);
    }
    return ticks;
  }

  // A line with its name at the side where there is room.
  std::string Mark() const {
    if (!Marked()) return "";
    const double x = X(chart_.marked_epoch);
    const bool right = x < kLeft + kPlotWidth / 2;
    Html mark;
    mark.Raw("<path class=\"best\" d=\"M" + Fixed(x, 1) + " " + Fixed(kTop - 10, 0) + "V" + Fixed(kBaseline, 0) +
             "\"/>");
    mark.Raw("<text class=\"bestname\" x=\"" + Fixed(x + (right ? 5 : -5), 1) + "\" y=\"" + Fixed(kTop - 3, 0));
    mark.Raw(right ? "\">" : "\" text-anchor=\"end\">").Raw("best epoch, ").Raw(chart_.marked_epoch).Raw("</text>");
    return mark.str();
  }

  // Where a group stands on the epoch axis: in its middle.
  double GroupX(const ValueGroup &group) const {
    return (X(chart_.epochs[group.first]) + X(chart_.epochs[group.end - 1])) / 2;
  }

  std::string Line(size_t number) const {
    const std::vector<ValueGroup> &groups = groups_[number];
    const bool band = groups.size() < chart_.epochs.size() && !chart_.steps;
    const bool dots = groups.size() <= kMostMarkedEpochs;
    std::string path;
    std::string circles;
    bool joined = false;  // with the group before
    for (size_t i = 0; i < groups.size(); ++i) {
      if (std::isnan(groups[i].mean)) {
        joined = false;
        continue;
      }
      const std::string x = Fixed(GroupX(groups[i]), 1);
      const std::string y = Fixed(Y(chart_.steps ? groups[i].last : groups[i].mean), 1);
      if (joined && chart_.steps) path += "H" + x;
      path += (joined ? "L" : "M") + x + " " + y;
      // A point between two gaps would not show as a line.
      const bool alone = !joined && (i + 1 == groups.size() || std::isnan(groups[i + 1].mean));
      if (dots || alone) {
        circles += "<circle cx=\"" + x + "\" cy=\"" + y + "\" r=\"" + (groups.size() > 20 ? "2" : "2.8") + "\"/>";
      }
      joined = true;
    }
    const std::string kind = "c" + std::to_string(number);
    return (band ? "<path class=\"band " + kind + "\" d=\"" + Band(groups) + "\"/>" : "") + "<path class=\"line " +
           kind + "\" d=\"" + path + "\"/><g class=\"dots " + kind + "\">" + circles + "</g>";
  }

  // From the least to the greatest value of each group: there along the upper edge, back along the lower one.
  std::string Band(const std::vector<ValueGroup> &groups) const {
    std::string path;
    for (size_t first = 0; first < groups.size();) {
      size_t end = first;
      while (end < groups.size() && !std::isnan(groups[end].mean)) ++end;
      for (size_t i = first; i < end; ++i) {
        path += (i == first ? "M" : "L") + Fixed(GroupX(groups[i]), 1) + " " + Fixed(Y(groups[i].greatest), 1);
      }
      for (size_t i = end; i > first; --i) {
        path += "L" + Fixed(GroupX(groups[i - 1]), 1) + " " + Fixed(Y(groups[i - 1].least), 1);
      }
      if (end > first) path += "Z";
      first = end + 1;
    }
    return path;
  }

  // As wide as what they tell of, up to the middle between neighbours.
  std::string Strips() const {
    Html html;
    html.Raw("<g class=\"strips\">");
    double left = kLeft;
    for (size_t i = 0; i < groups_.front().size(); ++i) {
      const size_t end = groups_.front()[i].end;
      const bool last = end == chart_.epochs.size();
      const double right = last ? kWidth - kRight : (X(chart_.epochs[end - 1]) + X(chart_.epochs[end])) / 2;
      html.Raw("<rect x=\"" + Fixed(left, 1) + "\" y=\"" + Fixed(kTop, 0) + "\" width=\"" + Fixed(right - left, 1) +
               "\" height=\"" + Fixed(kPlotHeight, 0) + "\"><title>");
      html.Text(Tooltip(i)).Raw("</title></rect>");
      left = right;
    }
    return html.Raw("</g>").str();
  }

  std::string Tooltip(size_t group) const {
    const size_t first = groups_.front()[group].first;
    const size_t end = groups_.front()[group].end;
    std::string text = "epoch " + std::to_string(chart_.epochs[first]);
    if (end - first > 1) {
      text = "epochs " + std::to_string(chart_.epochs[first]) + " to " + std::to_string(chart_.epochs[end - 1]);
    }
    for (size_t i = 0; i < chart_.curves.size(); ++i) {
      const ValueGroup &values = groups_[i][group];
      text += "\n" + chart_.curves[i].name + " ";
      if (std::isnan(values.mean)) {
        text += Value(chart_.curves[i].values[first], chart_.unit);
      } else if (Value(values.least, chart_.unit) == Value(values.greatest, chart_.unit)) {
        text += Value(values.least, chart_.unit);
      } else {
        text += Value(values.least, chart_.unit) + " to " + Value(values.greatest, chart_.unit);
      }
    }
    return text;
  }

  const LineChart &chart_;
  const Axis &axis_;
  std::vector<std::vector<ValueGroup>> groups_;  // per curve; the same places in all of them
};

}  // namespace

double Axis::Place(double value) const {
  const double place =
      logarithmic ? (std::log(value) - std::log(low)) / (std::log(high) - std::log(low)) : (value - low) / (high - low);
  return std::clamp(place, 0.0, 1.0);
}

std::string TickLabel(double value, LineChart::Unit unit) {
  if (unit == LineChart::Unit::kPercent) return Number(value * 100, 6) + "%";
  const double size = std::abs(value);
  if (value == 0 || (size > 0.9e-4 && size < 1e5)) return Number(value, 6);
  const auto exponent = static_cast<int>(std::floor(std::log10(size) + 1e-9));
  return Number(value / std::pow(10, exponent), 3) + "e" + std::to_string(exponent);
}

Axis PlanAxis(double least, double greatest, LineChart::Unit unit, double logarithmic_from) {
  const bool percent = unit == LineChart::Unit::kPercent;
  least = InRange(least);
  greatest = InRange(greatest);
  if (!percent && least > 0 && greatest / least >= logarithmic_from) return LogarithmicAxis(least, greatest);
  // A curve that does not move lies in the middle.
  if (const double size = std::max(std::abs(least), std::abs(greatest)); greatest - least <= size * 1e-6) {
    least -= size > 0 ? size / 2 : 0.5;
    greatest += size > 0 ? size / 2 : 0.5;
  }
  if (percent) {
    least = std::max(0.0, least);
    greatest = std::min(1.0, greatest);
  }
  const double step = RoundStep((greatest - least) / 4);
  const double first = std::floor(least / step + 1e-9);
  const double last = std::ceil(greatest / step - 1e-9);
  Axis axis;
  axis.low = first * step;
  axis.high = last * step;
  const auto steps = static_cast<int>(last - first);
  for (int i = 0; i <= steps; ++i) axis.ticks.push_back((first + i) * step);
  return axis;
}

std::vector<ValueGroup> GroupValues(std::span<const double> values, size_t most) {
  const size_t count = std::min(values.size(), most);
  std::vector<ValueGroup> groups(count);
  for (size_t i = 0; i < count; ++i) {
    ValueGroup &group = groups[i];
    group.first = i * values.size() / count;
    group.end = (i + 1) * values.size() / count;
    group.least = std::numeric_limits<double>::infinity();
    group.greatest = -group.least;
    double finite = 0;
    for (size_t at = group.first; at < group.end; ++at) {
      if (!std::isfinite(values[at])) continue;
      group.least = std::min(group.least, values[at]);
      group.greatest = std::max(group.greatest, values[at]);
      ++finite;
      group.mean += (values[at] - group.mean) / finite;
      group.last = values[at];
    }
    if (finite == 0) group.least = group.greatest = group.mean = group.last = std::numeric_limits<double>::quiet_NaN();
  }
  return groups;
}

std::string RenderLineChart(const LineChart &chart) {
  double least = std::numeric_limits<double>::infinity();
  double greatest = -least;
  for (const Curve &curve : chart.curves) {
    for (const ValueGroup &group : GroupValues(curve.values, 1)) {
      if (std::isnan(group.mean)) continue;
      least = std::min(least, group.least);
      greatest = std::max(greatest, group.greatest);
    }
  }
  if (least > greatest) return "";
  const Axis axis = PlanAxis(least, greatest, chart.unit, chart.steps ? kStepsLogarithmicFrom : kLogarithmicFrom);
  return Picture(chart, axis).Render();
}

}  // namespace trainyard::report
