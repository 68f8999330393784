#include "engine_torch/report/confusion.h"

#include <algorithm>
#include <tuple>

#include "engine_torch/report/html.h"

namespace trainyard::report {
namespace {

constexpr size_t kLongestName = 60;      // bytes of a class name in a table
constexpr size_t kMostUprightNames = 6;  // more columns than that have their names turned

double ShareOf(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

std::string NameOf(const ConfusionMatrix &confusion, size_t number) {
  return Shorten(confusion.classes[number], kLongestName);
}

class MatrixTable {
 public:
  MatrixTable(const ConfusionMatrix &confusion, const ClassificationMetrics &metrics)
      : confusion_(confusion), metrics_(metrics) {}

  std::string Render() const {
    Html html;
    html.Raw(
        "<div class=\"block\"><p class=\"hint\">Each class (rows) by what it was taken for (columns). "
        "Right ones lie on the diagonal; the deeper the colour, the greater the share of the row.</p>\n");
    html.Raw(ScrollStart("Confusion matrix"));
    html.Raw(confusion_.size() > kMostUprightNames ? "<table class=\"matrix turned\"" : "<table class=\"matrix\"");
    html.Raw(" aria-label=\"Confusion matrix\">");
    html.Raw(Head()).Raw("<tbody>");
    for (size_t truth = 0; truth < confusion_.size(); ++truth) html.Raw(Row(truth));
    return html.Raw("</tbody></table></div></div>\n").str();
  }

 private:
  std::string Head() const {
    Html html;
    html.Raw("<thead><tr><td></td><th class=\"axis\" scope=\"colgroup\" colspan=\"")
        .Raw(static_cast<int64_t>(confusion_.size()))
        .Raw("\">predicted</th><td></td></tr><tr><th class=\"axis\" scope=\"col\">true</th>");
    for (size_t i = 0; i < confusion_.size(); ++i) {
      html.Raw("<th scope=\"col\"><span>").Text(NameOf(confusion_, i)).Raw("</span></th>");
    }
    return html.Raw("<th scope=\"col\" class=\"sum\"><span>count</span></th></tr></thead>").str();
  }

  std::string Row(size_t truth) const {
    const int64_t support = metrics_.classes[truth].support;
    const std::string name = NameOf(confusion_, truth);
    Html html;
    html.Raw("<tr><th scope=\"row\">").Text(name).Raw("</th>");
    for (size_t predicted = 0; predicted < confusion_.size(); ++predicted) {
      const int64_t images = confusion_.At(truth, predicted);
      if (images == 0) {
        html.Raw(truth == predicted ? "<td class=\"hit none\">0</td>" : "<td class=\"none\">0</td>");
        continue;
      }
      const double share = ShareOf(images, support);
      html.Raw(truth == predicted ? "<td class=\"hit\" style=\"--share:" : "<td class=\"miss\" style=\"--share:");
      html.Raw(Fixed(share, 3)).Raw("\" title=\"");
      html.Text(name + " taken for " + NameOf(confusion_, predicted) + ": " + Count(images) + " of " + Count(support) +
                " (" + Percent(share) + ")");
      html.Raw("\">").Raw(Count(images)).Raw("</td>");
    }
    return html.Raw("<td class=\"sum\">").Raw(Count(support)).Raw("</td></tr>\n").str();
  }

  const ConfusionMatrix &confusion_;
  const ClassificationMetrics &metrics_;
};

std::string RenderPairs(const ConfusionMatrix &confusion, const ClassificationMetrics &metrics) {
  const std::vector<ConfusedPair> pairs = MostConfused(confusion, metrics, kMostPairs);
  if (pairs.empty()) return "<p>None was taken for another class.</p>\n";
  Html html;
  html.Raw("<div class=\"block\">" + ScrollStart("Most confused pairs"));
  html.Raw("<table class=\"list\"><caption>The pairs most often confused. The whole matrix of ");
  html.Raw(Count(static_cast<int64_t>(confusion.size())));
  html.Raw(
      " classes would be too large to read.</caption><thead><tr><th scope=\"col\">true</th>"
      "<th scope=\"col\">predicted</th><th scope=\"col\" class=\"number\">count</th>"
      "<th scope=\"col\" class=\"number\">of the class</th></tr></thead><tbody>");
  for (const ConfusedPair &pair : pairs) {
    const double share = ShareOf(pair.images, metrics.classes[pair.truth].support);
    html.Raw("<tr><th scope=\"row\">").Text(NameOf(confusion, pair.truth)).Raw("</th><td>");
    html.Text(NameOf(confusion, pair.predicted)).Raw("</td><td class=\"number\">").Raw(Count(pair.images));
    html.Raw("</td><td class=\"number meter miss\" style=\"--share:").Raw(Fixed(share, 3)).Raw("\"><span>");
    html.Raw(Escape(Percent(share))).Raw("</span></td></tr>\n");
  }
  return html.Raw("</tbody></table></div></div>\n").str();
}

void AverageRow(const std::string &name, const AverageMetrics &average, int64_t images, Html *html) {
  html->Raw("<tr><th scope=\"row\">").Text(name).Raw("</th>");
  for (const double value : {average.precision, average.recall, average.f1}) html->Raw(MeterCell(value, true));
  html->Raw("<td class=\"number\">").Raw(Count(images)).Raw("</td></tr>");
}

std::string RenderPerClass(const ConfusionMatrix &confusion, const ClassificationMetrics &metrics) {
  std::vector<size_t> order;
  const bool all = confusion.size() <= kMostMatrixClasses;
  if (all) {
    for (size_t i = 0; i < confusion.size(); ++i) order.push_back(i);
  } else {
    order = WorstClasses(metrics, kMostMatrixClasses);
  }
  Html html;
  html.Raw("<div class=\"block wide\">" + ScrollStart("Precision, recall and F1 by class"));
  html.Raw("<table class=\"list\"><caption>");
  if (all) {
    html.Raw(
        "Precision: how many of those taken for the class are of it. Recall: how many of the class were found. "
        "F1: their harmonic mean.");
  } else {
    html.Raw("The classes with the lowest F1, of ").Raw(Count(static_cast<int64_t>(confusion.size()))).Raw(".");
  }
  html.Raw(
      "</caption><thead><tr><th scope=\"col\">class</th><th scope=\"col\" class=\"number\">precision</th>"
      "<th scope=\"col\" class=\"number\">recall</th><th scope=\"col\" class=\"number\">F1</th>"
      "<th scope=\"col\" class=\"number\">count</th></tr></thead><tbody>");
  for (const size_t i : order) {
    const ClassMetrics &one = metrics.classes[i];
    html.Raw("<tr><th scope=\"row\">").Text(NameOf(confusion, i)).Raw("</th>");
    html.Raw(MeterCell(one.precision, one.predicted > 0)).Raw(MeterCell(one.recall, one.support > 0));
    html.Raw(MeterCell(one.f1, one.occurs()));
    html.Raw("<td class=\"number\">").Raw(Count(one.support)).Raw("</td></tr>\n");
  }
  html.Raw("</tbody><tfoot>");
  AverageRow("macro mean", metrics.macro, metrics.images, &html);
  AverageRow("weighted mean", metrics.weighted, metrics.images, &html);
  return html.Raw("</tfoot></table></div></div>\n").str();
}

}  // namespace

std::vector<ConfusedPair> MostConfused(const ConfusionMatrix &confusion, const ClassificationMetrics &metrics,
                                       size_t most) {
  std::vector<ConfusedPair> pairs;
  for (size_t truth = 0; truth < confusion.size(); ++truth) {
    for (size_t predicted = 0; predicted < confusion.size(); ++predicted) {
      const int64_t images = confusion.At(truth, predicted);
      if (truth != predicted && images > 0) pairs.push_back({truth, predicted, images});
    }
  }
  const auto before = [&](const ConfusedPair &a, const ConfusedPair &b) {
    return std::make_tuple(-a.images, metrics.classes[a.truth].support, a.truth, a.predicted) <
           std::make_tuple(-b.images, metrics.classes[b.truth].support, b.truth, b.predicted);
  };
  const size_t kept = std::min(most, pairs.size());
  std::partial_sort(pairs.begin(), pairs.begin() + static_cast<std::ptrdiff_t>(kept), pairs.end(), before);
  pairs.resize(kept);
  return pairs;
}

std::vector<size_t> WorstClasses(const ClassificationMetrics &metrics, size_t most) {
  std::vector<size_t> order;
  for (size_t i = 0; i < metrics.classes.size(); ++i) {
    if (metrics.classes[i].occurs()) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::make_tuple(metrics.classes[a].f1, -metrics.classes[a].support, a) <
           std::make_tuple(metrics.classes[b].f1, -metrics.classes[b].support, b);
  });
  order.resize(std::min(most, order.size()));
  return order;
}

std::string RenderClasses(const ConfusionMatrix &confusion, const ClassificationMetrics &metrics) {
  const std::string matrix = confusion.size() <= kMostMatrixClasses ? MatrixTable(confusion, metrics).Render()
                                                                    : RenderPairs(confusion, metrics);
  return "<div class=\"pair\">\n" + matrix + RenderPerClass(confusion, metrics) + "</div>\n";
}

}  // namespace trainyard::report
