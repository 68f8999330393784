#include "engine_torch/report/report.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "engine_torch/report/confusion.h"
#include "engine_torch/report/html.h"
#include "engine_torch/report/line_chart.h"
#include "engine_torch/report/mistakes.h"
#include "engine_torch/report/style.h"
#include "engine_torch/report/task_results.h"
#include "util/build_id.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"
#include "util/url.h"

namespace trainyard::report {
namespace {

constexpr size_t kLongestTitle = 200;
constexpr size_t kLongestLine = 500;
constexpr size_t kLongestMessage = 8000;

// The browser is to load nothing, run nothing and send nothing: only what is in the file.
constexpr std::string_view kHead =
    "<meta charset=\"utf-8\"/>\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
    "'unsafe-inline'; base-uri 'none'; form-action 'none'\"/>\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
    "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
    "<meta name=\"referrer\" content=\"no-referrer\"/>\n"
    "<link rel=\"icon\" href=\"data:,\"/>\n";

void Check(const TrainingReport &report) {
  for (size_t i = 1; i < report.epochs.size(); ++i) {
    if (report.epochs[i].epoch <= report.epochs[i - 1].epoch) {
      throw Error::InvalidArgument("the epochs of a report ascend: " + std::to_string(report.epochs[i].epoch) +
                                   " comes after " + std::to_string(report.epochs[i - 1].epoch));
    }
  }
  if (report.labels && report.labels->names.size() != report.labels->metrics.labels.size()) {
    throw Error::InvalidArgument("a report names " + std::to_string(report.labels->names.size()) + " labels and has " +
                                 std::to_string(report.labels->metrics.labels.size()) + " results of labels");
  }
  const auto classes = static_cast<int64_t>(report.confusion.size());
  for (const Mistake &mistake : report.mistakes) {
    for (const int64_t number : {mistake.truth, mistake.predicted}) {
      if (number >= 0 && number < classes) continue;
      throw Error::InvalidArgument("class " + std::to_string(number) + " of '" + mistake.path + "' is none of the " +
                                   std::to_string(classes) + " classes of the report");
    }
  }
}

struct EndingText {
  const char *style;
  const char *words;
};

EndingText TextOf(Ending ending) {
  switch (ending) {
    case Ending::kCompleted:
      return {"completed", "Completed"};
    case Ending::kStopped:
      return {"stopped", "Stopped early"};
    case Ending::kFailed:
      return {"failed", "Failed"};
    case Ending::kCanceled:
      return {"canceled", "Canceled"};
  }
  return {"failed", "Unknown"};
}

// "and 12 more": what a limit left out.
std::string MoreLine(size_t all, size_t shown, const std::string &where) {
  return all > shown ? " and " + Count(static_cast<int64_t>(all - shown)) + " more" + where : "";
}

// Writes one report; each function is one part of the page, in its order.
class Page {
 public:
  explicit Page(const TrainingReport &report)
      : report_(report), metrics_(ComputeMetrics(report.confusion, report.top_k)) {
    for (const EpochRow &row : report.epochs) {
      if (row.epoch == report.best_epoch) best_ = &row;
    }
  }

  std::string Render() {
    const std::string title = report_.name.empty() ? "Training report" : Shorten(report_.name, kLongestTitle);
    html_.Raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n").Raw(kHead).Raw("<title>").Text(title);
    html_.Raw("</title>\n<style>").Raw(kStyle).Raw("</style>\n</head>\n<body>\n");
    Header(title);
    Notes();
    html_.Raw("<main>\n");
    Tiles();
    Curves();
    Results();
    Facts();
    Settings();
    html_.Raw("</main>\n");
    Footer();
    html_.Raw("</body>\n</html>\n");
    return html_.str();
  }

 private:
  void Header(const std::string &title) {
    const EndingText ending = TextOf(report_.ending);
    html_.Raw("<header><div class=\"top\"><h1>").Text(title).Raw("</h1><span class=\"badge ").Raw(ending.style);
    html_.Raw("\">").Raw(ending.words).Raw("</span></div>\n<p>");
    std::vector<std::string> parts;
    for (const std::string &part : {report_.architecture, report_.mode}) {
      if (!part.empty()) parts.push_back(Shorten(part, kLongestTitle));
    }
    if (report_.confusion.size() > 0) {
      parts.push_back(Count(static_cast<int64_t>(report_.confusion.size())) + " classes");
    }
    if (report_.started_ms > 0) parts.push_back("started " + Moment(report_.started_ms));
    html_.Text(Join(parts, " \u00b7 ")).Raw("</p>\n");
    html_.Raw("<nav aria-label=\"Parts of the report\"><a href=\"#curves\">Curves</a> <a href=\"#classes\">");
    html_.Raw(report_.labels ? "Labels</a> " : report_.numbers ? "Numbers</a> " : "Classes</a> ");
    if (metrics_.images > 0 || !report_.misses.empty()) html_.Raw("<a href=\"#mistakes\">Mistakes</a> ");
    html_.Raw("<a href=\"#run\">Run</a> <a href=\"#settings\">Settings</a></nav>\n</header>\n");
  }

  // What the model said of the validation images.
  void Results() {
    html_.Raw("<section id=\"classes\"><h2>");
    html_.Raw(report_.labels ? "Labels" : report_.numbers ? "Predicted and true numbers" : "Classes").Raw("</h2>\n");
    if (report_.labels && report_.labels->metrics.images > 0) {
      html_.Raw(RenderLabels(*report_.labels));
    } else if (report_.numbers && report_.numbers->images > 0) {
      html_.Raw(report_.outputs.empty() ? RenderNumbers(*report_.numbers, report_.noun) : RenderOutputs(report_));
    } else if (metrics_.images > 0) {
      html_.Raw(RenderClasses(report_.confusion, metrics_));
    } else {
      html_.Raw("<p>There are no results on validation " + report_.noun + "s.</p>");
    }
    html_.Raw("</section>\n");
    if (metrics_.images == 0 && report_.misses.empty()) return;
    html_.Raw("<section id=\"mistakes\"><h2>Worst mistakes</h2>\n");
    html_.Raw(metrics_.images > 0 ? RenderMistakes(report_, metrics_.images - metrics_.correct, metrics_.images)
                                  : RenderMisses(report_));
    html_.Raw("</section>\n");
  }

  // Numbers are learnt without an accuracy.
  bool HasAccuracy() const {
    return report_.epochs.empty() || std::any_of(report_.epochs.begin(), report_.epochs.end(), [](const EpochRow &row) {
             return !std::isnan(row.train_accuracy) || !std::isnan(row.val_accuracy);
           });
  }

  // "2026-11-21 04:21 UTC"
  static std::string Moment(int64_t unix_ms) {
    std::string text = FormatUtc(unix_ms);
    const size_t letter = text.find('T');
    if (letter != std::string::npos) text[letter] = ' ';
    return text.substr(0, text.rfind(':')) + " UTC";
  }

  void Notes() {
    if (!report_.ending_message.empty()) {
      const bool failed = report_.ending == Ending::kFailed;
      html_.Raw(failed ? "<div class=\"note error\" role=\"alert\"><h3>" : "<div class=\"note\"><h3>");
      html_.Raw(TextOf(report_.ending).words).Raw("</h3><pre>");
      html_.Text(Shorten(report_.ending_message, kLongestMessage)).Raw("</pre></div>\n");
    }
    if (report_.warnings.empty()) return;
    const size_t shown = std::min(report_.warnings.size(), kMostWarnings);
    html_.Raw("<div class=\"note\"><h3>").Raw(Count(static_cast<int64_t>(report_.warnings.size())));
    html_.Raw(report_.warnings.size() == 1 ? " warning</h3><ul>" : " warnings</h3><ul>");
    for (size_t i = 0; i < shown; ++i) {
      html_.Raw("<li>").Text(Shorten(report_.warnings[i], kLongestLine)).Raw("</li>");
    }
    html_.Raw("</ul>").Text(MoreLine(report_.warnings.size(), shown, ", in the run's log")).Raw("</div>\n");
  }

  void Tile(const std::string &name, const std::string &value, const std::string &more) {
    html_.Raw("<div><dt>").Text(name).Raw("</dt><dd class=\"value\">").Text(value).Raw("</dd><dd class=\"more\">");
    html_.Text(more).Raw("</dd></div>\n");
  }

  std::string Samples(int64_t count) const { return Count(count) + " " + report_.noun + (count == 1 ? "" : "s"); }

  void LabelTiles(const LabelMetrics &labels) {
    Tile("All labels right", Percent(labels.accuracy), Count(labels.all_right) + " of " + Count(labels.images));
    Tile("F1 (micro)", Number(labels.f1_micro), "mean of the labels (macro) " + Number(labels.f1_macro));
    Tile("Mean average precision", Number(labels.average_precision_macro),
         "ROC AUC (macro) " + Number(labels.roc_auc_macro));
  }

  void NumberTiles(const NumberMetrics &numbers) {
    const std::string outputs =
        report_.outputs.empty() ? "" : ", mean of " + Count(static_cast<int64_t>(report_.outputs.size())) + " outputs";
    Tile("Root mean squared error", Number(numbers.rmse), "on " + Samples(numbers.images) + outputs);
    Tile("Mean absolute error", Number(numbers.mae), "on " + Samples(numbers.images) + outputs);
    Tile("R\u00b2", Number(numbers.r2), "1 is perfect, 0 no better than the mean");
  }

  void Tiles() {
    html_.Raw("<dl class=\"tiles\">\n");
    if (metrics_.images > 0) {
      Tile("Validation accuracy", Percent(metrics_.accuracy),
           "95% interval " + Percent(metrics_.accuracy_low) + " to " + Percent(metrics_.accuracy_high));
      for (const TopKAccuracy &top : metrics_.top_k) {
        Tile("Top-" + std::to_string(top.k) + " accuracy", Percent(top.accuracy), "validation");
      }
      Tile("Mistakes", Count(metrics_.images - metrics_.correct), "of " + Samples(metrics_.images));
      Tile("Mean F1 (macro)", Fixed(metrics_.macro.f1, 3), "balanced accuracy " + Percent(metrics_.balanced_accuracy));
      if (!std::isnan(report_.roc_auc)) Tile("ROC AUC", Number(report_.roc_auc), "of the two classes");
    } else if (report_.labels && report_.labels->metrics.images > 0) {
      LabelTiles(report_.labels->metrics);
    } else if (report_.numbers && report_.numbers->images > 0) {
      NumberTiles(*report_.numbers);
    } else if (best_ != nullptr && !std::isnan(best_->val_accuracy)) {
      Tile("Validation accuracy", Percent(best_->val_accuracy), "in the best epoch");
    }
    if (best_ != nullptr) {
      Tile("Best epoch", Count(best_->epoch), "validation loss " + Number(best_->val_loss));
    }
    const int64_t done = report_.epochs.empty() ? 0 : report_.epochs.back().epoch;
    const std::string planned = report_.planned_epochs > 0 ? " of " + Count(report_.planned_epochs) : "";
    if (report_.started_ms > 0 && report_.finished_ms >= report_.started_ms) {
      Tile("Duration", Duration(static_cast<double>(report_.finished_ms - report_.started_ms) / 1000),
           Count(done) + planned + " epochs");
    } else {
      Tile("Epochs", Count(done), planned.empty() ? "" : planned.substr(1) + " planned");
    }
    html_.Raw("</dl>\n");
  }

  std::vector<double> Column(double EpochRow::*field) const {
    std::vector<double> values;
    for (const EpochRow &row : report_.epochs) values.push_back(row.*field);
    return values;
  }

  void Curves() {
    html_.Raw("<section id=\"curves\"><h2>Curves</h2>\n");
    if (report_.epochs.empty()) {
      html_.Raw("<p>No epoch was finished.</p></section>\n");
      return;
    }
    LineChart chart;
    for (const EpochRow &row : report_.epochs) chart.epochs.push_back(row.epoch);
    chart.marked_epoch = report_.best_epoch;
    html_.Raw("<div class=\"charts\">\n");
    chart.title = "Loss";
    chart.curves = {{"training", Column(&EpochRow::train_loss)}, {"validation", Column(&EpochRow::val_loss)}};
    html_.Raw(RenderLineChart(chart));
    if (HasAccuracy()) {
      chart.title = "Accuracy";
      chart.unit = LineChart::Unit::kPercent;
      chart.curves = {{"training", Column(&EpochRow::train_accuracy)}, {"validation", Column(&EpochRow::val_accuracy)}};
      html_.Raw(RenderLineChart(chart));
    }
    chart.title = "Learning rate";
    chart.unit = LineChart::Unit::kNumber;
    chart.steps = true;
    chart.curves = {{"learning rate", Column(&EpochRow::learning_rate)}};
    html_.Raw(RenderLineChart(chart)).Raw("</div>\n");
    EpochTable();
    html_.Raw("</section>\n");
  }

  // First, last and best, and evenly between.
  std::vector<size_t> TableRows() const {
    const size_t count = report_.epochs.size();
    std::vector<size_t> rows;
    const size_t most = kMostEpochRows - 1;
    for (size_t i = 0; i < std::min(count, most); ++i) {
      rows.push_back(count <= most ? i : i * (count - 1) / (most - 1));
    }
    if (best_ != nullptr) rows.push_back(static_cast<size_t>(best_ - report_.epochs.data()));
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
    return rows;
  }

  void EpochTable() {
    const std::vector<size_t> rows = TableRows();
    const bool all = rows.size() == report_.epochs.size();
    html_.Raw("<details><summary>").Raw(all ? "All epochs as a table" : "Epochs as a table");
    if (!all)
      html_.Text(" (" + std::to_string(rows.size()) + " of " + Count(static_cast<int64_t>(report_.epochs.size())) +
                 ")");
    html_.Raw(
        "</summary><div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Epochs\">"
        "<table class=\"list\"><thead><tr>");
    std::vector<const char *> names = {"epoch", "training loss", "validation loss", "learning rate", "time"};
    if (HasAccuracy()) {
      names = {"epoch",         "training loss", "training accuracy", "validation loss", "validation accuracy",
               "learning rate", "time"};
    }
    for (const char *name : names) html_.Raw("<th scope=\"col\" class=\"number\">").Raw(name).Raw("</th>");
    html_.Raw("</tr></thead><tbody>\n");
    for (const size_t i : rows) EpochTableRow(report_.epochs[i]);
    html_.Raw("</tbody></table></div></details>\n");
  }

  void EpochTableRow(const EpochRow &row) {
    html_.Raw(&row == best_ ? "<tr class=\"chosen\"><th scope=\"row\" class=\"number\">"
                            : "<tr><th scope=\"row\" class=\"number\">");
    html_.Raw(row.epoch).Raw(&row == best_ ? " (best)</th>" : "</th>");
    std::vector<std::string> cells = {Number(row.train_loss)};
    if (HasAccuracy()) cells.push_back(Percent(row.train_accuracy));
    cells.push_back(Number(row.val_loss));
    if (HasAccuracy()) cells.push_back(Percent(row.val_accuracy));
    cells.insert(cells.end(), {Number(row.learning_rate), Duration(row.seconds)});
    for (const std::string &text : cells) {
      html_.Raw("<td class=\"number\">").Text(text).Raw("</td>");
    }
    html_.Raw("</tr>\n");
  }

  void FactTable(const std::string &title, const std::vector<Fact> &facts) {
    if (facts.empty()) return;
    html_.Raw("<section><h3>").Text(title).Raw("</h3><table>");
    const size_t shown = std::min(facts.size(), kMostFacts);
    for (size_t i = 0; i < shown; ++i) {
      html_.Raw("<tr><th scope=\"row\">").Text(Shorten(facts[i].name, kLongestTitle)).Raw("</th><td>");
      html_.Text(Shorten(facts[i].value, kLongestLine)).Raw("</td></tr>\n");
    }
    html_.Raw("</table>").Text(MoreLine(facts.size(), shown, "")).Raw("</section>\n");
  }

  void Facts() {
    html_.Raw("<section id=\"run\"><h2>Run</h2>\n<div class=\"facts\">\n");
    FactTable("Data", report_.data);
    std::vector<Fact> timings;
    for (const Timing &timing : report_.timings) timings.push_back({timing.name, Duration(timing.seconds)});
    FactTable("Time", timings);
    FactTable("Machine and versions", report_.machine);
    html_.Raw("</div></section>\n");
  }

  static std::string SettingText(const Json &value) {
    if (value.is_null()) return "\u2013";
    if (!value.is_string()) return value.Dump();
    const std::string text = value.AsString();
    if (text.empty()) return "\u2013";
    return text.find("://") != std::string::npos ? MaskCredentials(text) : text;
  }

  // Members of `object` below `prefix`, with dots between the names of nested ones.
  static void Flatten(const Json &object, const std::string &prefix, std::vector<Fact> *facts) {
    for (const auto &[key, value] : object.Members()) {
      const std::string name = prefix.empty() ? key : prefix + "." + key;
      if (value.is_object() && value.size() > 0) {
        Flatten(value, name, facts);
      } else {
        facts->push_back({name, SettingText(value)});
      }
    }
  }

  // One table for each group of settings, and one before them for those without a group.
  void Settings() {
    html_.Raw("<section id=\"settings\"><h2>Settings</h2>\n");
    if (!report_.settings.is_object() || report_.settings.size() == 0) {
      html_.Raw("<p>No settings were recorded.</p></section>\n");
      return;
    }
    html_.Raw("<div class=\"facts\">\n");
    std::vector<Fact> single;
    std::vector<std::pair<std::string, std::vector<Fact>>> groups;
    for (const auto &[key, value] : report_.settings.Members()) {
      if (value.is_object() && value.size() > 0) {
        groups.emplace_back(key, std::vector<Fact>());
        Flatten(value, "", &groups.back().second);
      } else {
        single.push_back({key, SettingText(value)});
      }
    }
    FactTable("general", single);
    const size_t shown = std::min(groups.size(), kMostSettingGroups);
    for (size_t i = 0; i < shown; ++i) FactTable(Shorten(groups[i].first, kLongestTitle), groups[i].second);
    html_.Text(MoreLine(groups.size(), shown, " groups"));
    html_.Raw("</div></section>\n");
  }

  void Footer() {
    html_.Raw(
        "<footer>Metrics are defined as in scikit-learn; precision, recall and F1 that are not defined count as 0 "
        "in means. The interval is Wilson's. Written by trainyard ");
    const std::string_view build = BuildId();  // "<version>-<hash>"
    html_.Text(build.substr(0, build.find('-'))).Raw(".</footer>\n");
  }

  const TrainingReport &report_;
  const ClassificationMetrics metrics_;
  const EpochRow *best_ = nullptr;
  Html html_;
};

}  // namespace

std::string RenderReport(const TrainingReport &report) {
  Check(report);
  return Page(report).Render();
}

void WriteReport(const std::string &path, const TrainingReport &report) {
  WriteFileAtomic(path, RenderReport(report), 0644);
}

}  // namespace trainyard::report
