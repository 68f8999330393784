#include "engine_torch/report/mistakes.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine_torch/report/html.h"
#include "engine_torch/report/thumbnail.h"
#include "util/error.h"

namespace trainyard::report {
namespace {

constexpr size_t kLongestName = 60;
constexpr size_t kLongestPath = 160;
constexpr size_t kLongestReason = 200;
constexpr int kFewPixels = 64;  // enlarged in squares rather than blurred

std::string RenderMistake(const Mistake &mistake, const std::vector<std::string> &classes, bool pictures) {
  const std::string truth = Shorten(classes[static_cast<size_t>(mistake.truth)], kLongestName);
  const std::string predicted = Shorten(classes[static_cast<size_t>(mistake.predicted)], kLongestName);
  const std::string path = Shorten(mistake.path, kLongestPath);
  Html html;
  html.Raw("<li><figure>");
  if (pictures) {
    html.Raw(Picture(mistake.image_path, "Validation image of class " + truth + ", taken for " + predicted));
  }
  html.Raw("<figcaption><span class=\"row\"><span class=\"sure\">").Text(Percent(mistake.probability));
  html.Raw("</span>predicted <b class=\"wrong\">").Text(predicted).Raw("</b></span><span class=\"row\">true <b>");
  html.Text(truth).Raw("</b></span><span class=\"path\">").Text(path);
  return html.Raw("</span></figcaption></figure></li>\n").str();
}

}  // namespace

std::string Picture(const std::string &image_path, const std::string &alternative) {
  Html html;
  if (image_path.empty()) return "<div class=\"nopicture\">no picture was kept</div>";
  try {
    const Thumbnail thumbnail = MakeThumbnail(image_path);
    html.Raw(std::max(thumbnail.width, thumbnail.height) <= kFewPixels ? "<img class=\"tiny\"" : "<img");
    html.Raw(" width=\"").Raw(thumbnail.width).Raw("\" height=\"").Raw(thumbnail.height).Raw("\" alt=\"");
    html.Text(alternative).Raw("\" src=\"").Raw(thumbnail.data_uri).Raw("\"/>");
  } catch (const Error &error) {
    html.Raw("<div class=\"nopicture\">").Text(Shorten(error.what(), kLongestReason)).Raw("</div>");
  }
  return html.str();
}

std::vector<Mistake> WorstMistakes(std::vector<Mistake> mistakes, size_t most) {
  // A NaN would be in no order with anything.
  const auto sure = [](const Mistake &m) { return std::isnan(m.probability) ? -1.0 : m.probability; };
  std::sort(mistakes.begin(), mistakes.end(), [&](const Mistake &a, const Mistake &b) {
    return sure(a) != sure(b) ? sure(a) > sure(b) : a.path < b.path;
  });
  if (mistakes.size() > most) mistakes.resize(most);
  return mistakes;
}

std::string RenderMistakes(const TrainingReport &report, int64_t wrong, int64_t images) {
  Html html;
  if (wrong == 0 && report.mistakes.empty()) {
    return html.Raw("<p>None of the ")
        .Raw(Count(images))
        .Raw(" validation " + report.noun + "s was taken for another class.</p>\n")
        .str();
  }
  const std::vector<Mistake> shown = WorstMistakes(report.mistakes, kMostMistakes);
  const auto count = static_cast<int64_t>(shown.size());
  html.Raw("<p>").Raw(Count(wrong)).Raw(" of ").Raw(Count(images)).Raw(" validation " + report.noun + "s ");
  html.Raw(wrong == 1 ? "was" : "were").Raw(" taken for another class.");
  if (shown.empty()) return html.Raw("</p>\n").str();
  if (count < wrong) {
    html.Raw(" These are the ")
        .Raw(count)
        .Raw(" of which the model was surest: among them wrong labels are found first.");
  } else if (count > 1) {
    html.Raw(" Those of which the model was surest come first: among them wrong labels are found.");
  }
  html.Raw("</p>\n");
  html.Raw("<ol class=\"mistakes\">\n");
  for (const Mistake &mistake : shown) {
    html.Raw(RenderMistake(mistake, report.confusion.classes, report.HasPictures()));
  }
  return html.Raw("</ol>\n").str();
}

}  // namespace trainyard::report
