#include "engine_torch/report/scatter.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine_torch/report/html.h"
#include "engine_torch/report/line_chart.h"

namespace trainyard::report {
namespace {

// A square in its own units, with room for the labels of the axes.
constexpr double kSide = 260;
constexpr double kLeft = 62;
constexpr double kRight = 14;
constexpr double kTop = 12;
constexpr double kBottom = 40;

bool IsFinite(const NumberAnswer &answer) {
  return std::isfinite(answer.truth) && std::isfinite(answer.predicted);
}

class Picture {
 public:
  // The same axis for both numbers: on the diagonal they are equal.
  explicit Picture(const Axis &axis) : axis_(axis) {}

  std::string Render(const std::vector<NumberAnswer> &answers, size_t all, const std::string &noun) const {
    Html html;
    html.Raw("<figure class=\"chart\"><figcaption><b>Predicted by true number</b>");
    if (answers.size() < all) {
      html.Raw(" <span class=\"scale\">").Raw(Count(static_cast<int64_t>(answers.size()))).Raw(" of ");
      html.Raw(Count(static_cast<int64_t>(all))).Raw(" " + noun + "s</span>");
    }
    html.Raw("</figcaption><svg viewBox=\"0 0 " + Fixed(kLeft + kSide + kRight, 0) + " " +
             Fixed(kTop + kSide + kBottom, 0) + "\" role=\"img\" aria-label=\"");
    html.Text("Predicted by true number, " + Count(static_cast<int64_t>(answers.size())) + " " + noun + "s, from " +
              Number(axis_.low) + " to " + Number(axis_.high) + "; what is right lies on the diagonal.");
    html.Raw("\">").Raw(Grid());
    html.Raw("<path class=\"best\" d=\"M" + X(axis_.low) + " " + Y(axis_.low) + "L" + X(axis_.high) + " " +
             Y(axis_.high) + "\"/>");
    html.Raw("<path class=\"points\" d=\"");
    for (const NumberAnswer &answer : answers) html.Raw("M" + X(answer.truth) + " " + Y(answer.predicted) + "h0");
    return html.Raw("\"/></svg></figure>\n").str();
  }

 private:
  std::string X(double truth) const { return Fixed(kLeft + axis_.Place(truth) * kSide, 1); }
  std::string Y(double predicted) const { return Fixed(kTop + (1 - axis_.Place(predicted)) * kSide, 1); }

  std::string Grid() const {
    const std::string left = Fixed(kLeft, 0), right = Fixed(kLeft + kSide, 0), bottom = Fixed(kTop + kSide, 0);
    const std::string middle = Fixed(kTop + kSide / 2, 0), label = Fixed(kTop + kSide + 32, 0);
    Html grid;
    grid.Raw("<g class=\"grid\">");
    for (const double tick : axis_.ticks) {
      const std::string text = TickLabel(tick, LineChart::Unit::kNumber);
      grid.Raw("<path d=\"M" + left + " " + Y(tick) + "H" + right + "M" + X(tick) + " " + Fixed(kTop, 0) + "V" +
               bottom + "\"/>");
      grid.Raw("<text class=\"ty\" x=\"" + Fixed(kLeft - 6, 0) + "\" y=\"" + Y(tick) + "\" dy=\".35em\">");
      grid.Raw(text).Raw("</text><text class=\"tx\" x=\"" + X(tick) + "\" y=\"" + Fixed(kTop + kSide + 16, 0) + "\">");
      grid.Raw(text).Raw("</text>");
    }
    grid.Raw("<text class=\"tx\" x=\"" + Fixed(kLeft + kSide / 2, 0) + "\" y=\"" + label + "\">true</text>");
    grid.Raw("<text class=\"tx\" x=\"12\" y=\"" + middle + "\" transform=\"rotate(-90 12 " + middle + ")\">predicted");
    return grid.Raw("</text></g>").str();
  }

  const Axis &axis_;
};

}  // namespace

std::string RenderScatter(const std::vector<NumberAnswer> &answers, const std::string &noun) {
  const size_t count = std::min(answers.size(), kMostDots);
  std::vector<NumberAnswer> shown;
  double least = std::numeric_limits<double>::infinity();
  double greatest = -least;
  for (size_t i = 0; i < count; ++i) {
    const NumberAnswer &answer = answers[i * answers.size() / count];
    if (!IsFinite(answer)) continue;
    shown.push_back(answer);
    least = std::min({least, answer.truth, answer.predicted});
    greatest = std::max({greatest, answer.truth, answer.predicted});
  }
  if (shown.empty()) return "";
  const Axis axis = PlanAxis(least, greatest, LineChart::Unit::kNumber, std::numeric_limits<double>::infinity());
  return Picture(axis).Render(shown, answers.size(), noun);
}

}  // namespace trainyard::report
