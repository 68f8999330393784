#include "engine_torch/report/task_results.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine_torch/report/html.h"
#include "engine_torch/report/mistakes.h"
#include "engine_torch/report/scatter.h"

namespace trainyard::report {
namespace {

constexpr size_t kLongestName = 60;
constexpr size_t kLongestAnswer = 200;
constexpr size_t kLongestPath = 160;
constexpr char kUndefined[] = "not defined: all have the label, or none does; left out of the mean";

std::string Heads(const std::vector<const char *> &names) {
  Html html;
  html.Raw("<thead><tr>");
  for (size_t i = 0; i < names.size(); ++i) {
    html.Raw(i == 0 ? "<th scope=\"col\">" : "<th scope=\"col\" class=\"number\">").Text(names[i]).Raw("</th>");
  }
  return html.Raw("</tr></thead>").str();
}

// All in their order, or those found worst.
std::vector<size_t> LabelsShown(const LabelMetrics &metrics) {
  std::vector<size_t> order(metrics.labels.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (order.size() <= kMostLabelRows) return order;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return metrics.labels[a].counts.f1 < metrics.labels[b].counts.f1; });
  order.resize(kMostLabelRows);
  return order;
}

std::string LabelRow(const std::string &name, const LabelScore &label) {
  Html html;
  html.Raw("<tr><th scope=\"row\">").Text(Shorten(name, kLongestName)).Raw("</th>");
  html.Raw(MeterCell(label.counts.precision, label.counts.predicted > 0));
  html.Raw(MeterCell(label.counts.recall, label.counts.support > 0));
  html.Raw(MeterCell(label.counts.f1, label.counts.occurs()));
  for (const double value : {label.average_precision, label.roc_auc}) {
    html.Raw(MeterCell(value, !std::isnan(value), kUndefined));
  }
  return html.Raw("<td class=\"number\">").Raw(Count(label.counts.support)).Raw("</td></tr>\n").str();
}

std::string RenderMiss(const Miss &miss, bool of_numbers, bool picture) {
  const auto text = [](const std::string &labels) {
    return labels.empty() ? std::string("no label") : Shorten(labels, kLongestAnswer);
  };
  const std::string truth = text(miss.truth), predicted = text(miss.predicted);
  Html html;
  html.Raw("<li><figure>");
  if (picture) html.Raw(Picture(miss.image_path, "Validation image: true " + truth + ", predicted " + predicted));
  html.Raw("<figcaption><span class=\"row\"><span class=\"sure\">").Text(of_numbers ? "off by " : "loss ");
  html.Text(Number(miss.error)).Raw("</span>predicted <b class=\"wrong\">").Text(predicted);
  html.Raw("</b></span><span class=\"row\">true <b>").Text(truth).Raw("</b></span><span class=\"path\">");
  html.Text(Shorten(miss.path, kLongestPath));
  return html.Raw("</span></figcaption></figure></li>\n").str();
}

}  // namespace

std::string RenderLabels(const LabelResults &results) {
  const LabelMetrics &metrics = results.metrics;
  const std::vector<size_t> shown = LabelsShown(metrics);
  Html html;
  html.Raw(ScrollStart("Precision, recall, F1, average precision and ROC AUC by label"));
  html.Raw("<table class=\"list\"><caption>");
  if (shown.size() < metrics.labels.size()) {
    html.Raw("The labels with the lowest F1, of ").Raw(Count(static_cast<int64_t>(metrics.labels.size()))).Raw(". ");
  }
  html.Raw(
      "Precision, recall and F1: of the labels told with a probability above a half. Average precision and ROC AUC: "
      "of all in the order of their probabilities, whatever the threshold.</caption>");
  html.Raw(Heads({"label", "precision", "recall", "F1", "average precision", "ROC AUC", "count"})).Raw("<tbody>\n");
  for (const size_t i : shown) html.Raw(LabelRow(results.names[i], metrics.labels[i]));
  html.Raw("</tbody><tfoot><tr><th scope=\"row\">macro mean</th>");
  const auto mean = [&](double ClassMetrics::*field) {
    double sum = 0;
    for (const LabelScore &label : metrics.labels) sum += label.counts.*field;
    return sum / static_cast<double>(metrics.labels.size());
  };
  html.Raw(MeterCell(mean(&ClassMetrics::precision), true)).Raw(MeterCell(mean(&ClassMetrics::recall), true));
  html.Raw(MeterCell(metrics.f1_macro, true));
  for (const double value : {metrics.average_precision_macro, metrics.roc_auc_macro}) {
    html.Raw(MeterCell(value, !std::isnan(value), kUndefined));
  }
  html.Raw("<td class=\"number\">").Raw(Count(metrics.images)).Raw("</td></tr></tfoot></table></div>\n");
  return html.str();
}

std::string RenderNumbers(const NumberMetrics &metrics, const std::string &noun) {
  Html html;
  html.Raw("<div class=\"pair\">\n<div class=\"block\">").Raw(RenderScatter(metrics.answers, noun)).Raw("</div>\n");
  html.Raw("<div class=\"block wide\">").Raw(ScrollStart("Predicted against true numbers"));
  html.Raw("<table class=\"list\"><caption>The " + noun +
           "s by their true number. A model that knows no better tells numbers "
           "near the mean of all: its predictions rise less than the true ones.</caption>");
  html.Raw(Heads({"true number", "mean true", "mean predicted", "MAE", "count"}));
  html.Raw("<tbody>\n");
  for (const NumberRange &range : metrics.ranges) {
    html.Raw("<tr><th scope=\"row\">").Text(Number(range.low));
    if (range.high != range.low) html.Text(" to " + Number(range.high));
    html.Raw("</th>");
    for (const double value : {range.mean_truth, range.mean_predicted, range.mae}) {
      html.Raw("<td class=\"number\">").Text(Number(value)).Raw("</td>");
    }
    html.Raw("<td class=\"number\">").Raw(Count(range.images)).Raw("</td></tr>\n");
  }
  return html.Raw("</tbody></table></div></div></div>\n").str();
}

std::vector<size_t> WorstOutputs(const std::vector<OutputResults> &outputs) {
  std::vector<size_t> order(outputs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto r2 = [&](size_t i) { return std::isnan(outputs[i].metrics.r2) ? -INFINITY : outputs[i].metrics.r2; };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return r2(a) < r2(b); });
  return order;
}

std::string RenderOutputs(const TrainingReport &report) {
  const std::vector<size_t> order = WorstOutputs(report.outputs);
  const size_t rows = std::min(order.size(), kMostOutputRows);
  Html html;
  html.Raw(ScrollStart("Errors by output"));
  html.Raw("<table class=\"list\"><caption>");
  if (rows < order.size()) {
    html.Raw("The outputs with the lowest R\u00b2, of ").Raw(Count(static_cast<int64_t>(order.size()))).Raw(". ");
  }
  html.Raw("The numbers that each ")
      .Text(report.noun)
      .Raw(" has; what is furthest from its truth comes first.</caption>");
  html.Raw(Heads({"output", "RMSE", "MAE", "R\u00b2"})).Raw("<tbody>\n");
  for (size_t i = 0; i < rows; ++i) {
    html.Raw("<tr><th scope=\"row\">").Text(Shorten(report.outputs[order[i]].name, kLongestName)).Raw("</th>");
    const NumberMetrics &metrics = report.outputs[order[i]].metrics;
    for (const double value : {metrics.rmse, metrics.mae, metrics.r2}) {
      html.Raw("<td class=\"number\">").Text(Number(value)).Raw("</td>");
    }
    html.Raw("</tr>\n");
  }
  html.Raw("</tbody></table></div>\n");
  for (size_t i = 0; i < std::min(order.size(), kMostOutputPictures); ++i) {
    html.Raw("<h3>").Text(Shorten(report.outputs[order[i]].name, kLongestName)).Raw("</h3>\n");
    html.Raw(RenderNumbers(report.outputs[order[i]].metrics, report.noun));
  }
  return html.str();
}

std::vector<Miss> WorstMisses(std::vector<Miss> misses, size_t most) {
  // What is no number is the worst.
  const auto error = [](const Miss &miss) { return std::isnan(miss.error) ? INFINITY : miss.error; };
  std::sort(misses.begin(), misses.end(),
            [&](const Miss &a, const Miss &b) { return error(a) != error(b) ? error(a) > error(b) : a.path < b.path; });
  if (misses.size() > most) misses.resize(most);
  return misses;
}

std::string RenderMisses(const TrainingReport &report) {
  const bool of_numbers = report.numbers.has_value();
  Html html;
  html.Raw("<p>The ").Text(report.noun);
  html.Raw(of_numbers ? "s whose numbers are furthest off" : "s whose labels cost the greatest loss");
  html.Raw(" come first: among them wrong ones of the data are found.</p>\n<ol class=\"mistakes\">\n");
  for (const Miss &miss : WorstMisses(report.misses, kMostMistakes)) {
    html.Raw(RenderMiss(miss, of_numbers, report.HasPictures()));
  }
  return html.Raw("</ol>\n").str();
}

}  // namespace trainyard::report
