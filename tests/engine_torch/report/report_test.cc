#include "engine_torch/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <openssl/evp.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine_torch/image/test_images.h"
#include "engine_torch/report/confusion.h"
#include "engine_torch/report/line_chart.h"
#include "engine_torch/report/mistakes.h"
#include "engine_torch/report/sample_reports.h"
#include "engine_torch/report/scatter.h"
#include "engine_torch/report/thumbnail.h"
#include "util/error.h"
#include "util/fs.h"

namespace trainyard::report {
namespace {

using testing::HasSubstr;
using testing::Not;

size_t CountOf(const std::string &text, const std::string &part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

std::string WriteTo(const TempDir &directory, const std::string &name, const std::string &bytes) {
  const std::string path = JoinPath(directory.path(), name);
  WriteFileAtomic(path, bytes, 0600, /*sync=*/false);
  return path;
}

// The bytes behind "data:image/jpeg;base64,".
std::string DecodeUri(const std::string &uri) {
  const std::string text = uri.substr(uri.find(',') + 1);
  std::string bytes(text.size() / 4 * 3, '\0');
  EVP_DecodeBlock(reinterpret_cast<unsigned char *>(bytes.data()), reinterpret_cast<const unsigned char *>(text.data()),
                  static_cast<int>(text.size()));
  return bytes;
}

TEST(Report, OfNumbersSetsPredictedAgainstTrueOnes) {
  const TrainingReport report = NumbersReport({});
  const std::string html = RenderReport(report);
  for (const char *part :
       {"<h2>Predicted and true numbers</h2>", "Root mean squared error", "Mean absolute error", "R\u00b2",
        "0 to 2.5</th>", "off by 2.97", "<b class=\"wrong\">3.22</b>", "true <b>0.25</b>"}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
  EXPECT_EQ(CountOf(html, "<svg"), 3u) << "loss, learning rate, predicted by true number";
  EXPECT_THAT(html, HasSubstr("60 images, from 0 to 30; what is right lies on the diagonal."));
  EXPECT_LT(html.find("off by 2.97"), html.find("off by 2.79")) << "the greatest error first";
  for (const char *part : {"Validation accuracy", "validation accuracy", "Confusion matrix", "There are no results",
                           "NaN", "taken for another class"}) {
    EXPECT_THAT(html, Not(HasSubstr(part))) << part;
  }
}

TEST(Report, OfSeveralNumbersHasARowForEachTheWorstFirst) {
  TrainingReport report = NumbersReport({});
  report.noun = "sample";
  std::vector<NumberMetrics> outputs;
  for (int i = 0; i < 6; ++i) {
    std::vector<NumberAnswer> answers;
    for (int k = 0; k < 20; ++k) answers.push_back({k * 1.0, k + (i == 4 ? 9 : i) * std::sin(k * 1.7)});
    outputs.push_back(ComputeNumberMetrics(answers));
    report.outputs.push_back({"out" + std::to_string(i), outputs.back()});
  }
  report.numbers = MeanOfOutputs(outputs);
  // sklearn.metrics: the mean over the outputs of each one's.
  double rmse = 0;
  for (const NumberMetrics &one : outputs) rmse += one.rmse / 6;
  EXPECT_DOUBLE_EQ(report.numbers->rmse, rmse);
  const std::string html = RenderReport(report);
  EXPECT_LT(html.find("<th scope=\"row\">out4</th>"), html.find("<th scope=\"row\">out5</th>"));
  EXPECT_LT(html.find("<th scope=\"row\">out5</th>"), html.find("<th scope=\"row\">out0</th>"));
  EXPECT_EQ(CountOf(html, "<svg"), 2u + kMostOutputPictures) << "loss, learning rate, four by true number";
  EXPECT_THAT(html, HasSubstr("on 20 samples, mean of 6 outputs"));
  EXPECT_THAT(html, HasSubstr("<h3>out4</h3>"));
  EXPECT_THAT(html, Not(HasSubstr("<h3>out0</h3>")));
  EXPECT_THAT(html, Not(HasSubstr("nopicture\">"))) << "of samples there are none";
}

TEST(Report, ScatterHasADotForEachImage) {
  EXPECT_EQ(RenderScatter({}), "");
  EXPECT_EQ(RenderScatter({{kNotMeasured, 1}, {1, INFINITY}}), "");
  const std::string two = RenderScatter({{0, 0}, {4, 2}, {1, kNotMeasured}});
  EXPECT_EQ(CountOf(two, "h0"), 2u);
  // From 0 to 4 in a square of 260: the first at the lower left, the second at the right, half way up.
  EXPECT_THAT(two, HasSubstr("d=\"M62.0 272.0h0M322.0 142.0h0\""));
  const std::string many = RenderScatter(std::vector<NumberAnswer>(100000, {1e-9, 1e-9}));
  EXPECT_EQ(CountOf(many, "h0"), kMostDots);
  EXPECT_THAT(many, HasSubstr("2,000 of 100,000 images"));
  EXPECT_LT(many.size(), 60000u);
}

TEST(Report, OfLabelsHasARowForEach) {
  TrainingReport report = LabelsReport(3, {});
  const std::string html = RenderReport(report);
  for (const char *part :
       {"<h2>Labels</h2>", "All labels right", "Mean average precision", "ROC AUC", "<th scope=\"row\">label 3</th>",
        "macro mean", "loss 2.97", "no label", "label 1, label 2"}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
  EXPECT_EQ(CountOf(html, "title=\"not defined: all have the label"), 2u) << "label 1, which no image has";
  EXPECT_EQ(CountOf(html, "<svg"), 3u);
  for (const char *part : {"Confusion matrix", "There are no results", "taken for another class"}) {
    EXPECT_THAT(html, Not(HasSubstr(part))) << part;
  }
  EXPECT_THAT(RenderReport(LabelsReport(500, {})), HasSubstr("The labels with the lowest F1, of 500."));
  report.labels->names.pop_back();
  EXPECT_THROW(RenderReport(report), Error);
}

TEST(Report, TwoClassesHaveARocAuc) {
  TrainingReport report = TutorialReport({});
  EXPECT_THAT(RenderReport(report), Not(HasSubstr("ROC AUC")));
  report.roc_auc = 0.987;
  EXPECT_THAT(RenderReport(report), HasSubstr("ROC AUC</dt><dd class=\"value\">0.987</dd>"));
}

TEST(Report, HoldsWhatWasGiven) {
  const std::string html = RenderReport(TutorialReport({}));
  for (const char *part : {"<h1>hymenoptera-finetune</h1>", "Completed", "resnet18 \u00b7 finetune \u00b7 2 classes",
                           "94.8%", "of 153 images", "25 of 25 epochs", "4 min 51 s", "imageNotFound.jpg",
                           "AMD EPYC 7763", "optimizer", "<td>0.001</td>", "17 (best)",
                           "ants taken for bees: 4 of 70 (5.7%)", "val/bees/", "221", "no picture was kept"}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
  EXPECT_EQ(CountOf(html, "<svg"), 3u);
  EXPECT_EQ(CountOf(html, "<td class=\"hit\""), 2u);
  EXPECT_EQ(CountOf(html, "<td class=\"miss\""), 2u);
}

TEST(Report, CredentialsInSettingsAreMasked) {
  const std::string html = RenderReport(TutorialReport({}));
  EXPECT_THAT(html, HasSubstr("***@models.example/resnet18.pth"));
  EXPECT_THAT(html, Not(HasSubstr("secret")));
  EXPECT_THAT(html, Not(HasSubstr("sig=abc")));
}

TEST(Report, EachEndingSaysSo) {
  TrainingReport report = TutorialReport({});
  const std::pair<Ending, const char *> endings[] = {{Ending::kCompleted, ">Completed<"},
                                                     {Ending::kStopped, ">Stopped early<"},
                                                     {Ending::kFailed, ">Failed<"},
                                                     {Ending::kCanceled, ">Canceled<"}};
  for (const auto &[ending, words] : endings) {
    report.ending = ending;
    EXPECT_THAT(RenderReport(report), HasSubstr(words));
  }
  EXPECT_THAT(RenderReport(FailedReport()), HasSubstr("role=\"alert\"><h3>Failed</h3><pre>the loss is nan in epoch 3"));
}

TEST(Report, AnEmptyOneIsAPageAsWell) {
  const std::string html = RenderReport({});
  EXPECT_THAT(html, HasSubstr("No epoch was finished."));
  EXPECT_THAT(html, HasSubstr("There are no results on validation images."));
  EXPECT_THAT(html, HasSubstr("No settings were recorded."));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
}

TEST(Report, NoMistakesIsSaid) {
  TrainingReport report = TutorialReport({});
  report.confusion.counts = {70, 0, 0, 83};
  report.mistakes.clear();
  EXPECT_THAT(RenderReport(report), HasSubstr("None of the 153 validation images was taken for another class."));
}

TEST(Report, OnlySoMuchIsShown) {
  TrainingReport report = LargeReport(40, 5000, 500, {});
  report.warnings.assign(1000, std::string(5000, 'w'));
  report.data.assign(1000, {"name", "value"});
  for (int i = 0; i < 3000; ++i) report.settings.Set("key" + std::to_string(i), i);
  const std::string html = RenderReport(report);
  EXPECT_LT(html.size(), 400000u);
  EXPECT_EQ(CountOf(html, "<li><figure>"), kMostMistakes);
  EXPECT_EQ(CountOf(html, "www\u2026www"), kMostWarnings);
  EXPECT_THAT(html, HasSubstr("and 950 more, in the run&#39;s log"));
  EXPECT_THAT(html, HasSubstr("and 900 more"));
  EXPECT_THAT(html, HasSubstr("and 2,903 more"));  // of 3,003 settings without a group
  EXPECT_THAT(html, HasSubstr("(100 of 5,000)"));
  EXPECT_THAT(html, HasSubstr("3333 (best)"));
  EXPECT_THAT(html, HasSubstr("<th scope=\"row\" class=\"number\">5000</th>"));
}

// A thousand classes are no larger than forty.
TEST(Report, ManyClassesAreTheMostConfusedAndTheWorst) {
  const std::string html = RenderReport(LargeReport(1000, 3, 0, {}));
  EXPECT_LT(html.size(), 100000u);
  EXPECT_THAT(html, HasSubstr("The pairs most often confused."));
  EXPECT_THAT(html, HasSubstr("The classes with the lowest F1, of 1,000."));
  EXPECT_THAT(html, Not(HasSubstr("class=\"matrix")));
  EXPECT_THAT(RenderReport(LargeReport(kMostMatrixClasses, 3, 0, {})), HasSubstr("class=\"matrix turned\""));
}

TEST(Report, PairsAndClassesAreInOrder) {
  ConfusionMatrix confusion({"a", "b", "c"});
  confusion.counts = {10, 2, 5, 5, 0, 0, 1, 0, 20};
  const ClassificationMetrics metrics = ComputeMetrics(confusion);
  const std::vector<ConfusedPair> pairs = MostConfused(confusion, metrics, 3);
  ASSERT_EQ(pairs.size(), 3u);
  // Five of five b before five of seventeen a.
  EXPECT_EQ(pairs[0].truth, 1u);
  EXPECT_EQ(pairs[0].predicted, 0u);
  EXPECT_EQ(pairs[1].truth, 0u);
  EXPECT_EQ(pairs[1].predicted, 2u);
  EXPECT_EQ(pairs[2].images, 2);
  EXPECT_THAT(WorstClasses(metrics, 2), testing::ElementsAre(1, 0));
}

TEST(Report, TheSurestMistakesComeFirst) {
  std::vector<Mistake> mistakes(5);
  const double probabilities[] = {0.5, 0.9, std::numeric_limits<double>::quiet_NaN(), 0.9, 0.7};
  const char *const paths[] = {"e", "d", "c", "b", "a"};
  for (size_t i = 0; i < 5; ++i) mistakes[i] = {paths[i], 0, 1, probabilities[i], ""};
  std::string order;
  for (const Mistake &mistake : WorstMistakes(mistakes, 5)) order += mistake.path;
  EXPECT_EQ(order, "bdaec");
  EXPECT_EQ(WorstMistakes(mistakes, 2).size(), 2u);
}

TEST(Report, WhatContradictsItselfIsRefused) {
  TrainingReport report = TutorialReport({});
  report.mistakes[3].predicted = 2;
  EXPECT_THROW(RenderReport(report), Error);
  report = TutorialReport({});
  report.epochs[4].epoch = 4;
  EXPECT_THROW(RenderReport(report), Error);
  report = TutorialReport({});
  report.confusion.counts.push_back(1);
  EXPECT_THROW(RenderReport(report), Error);
}

TEST(Report, NothingOfAHostileNameIsMarkup) {
  const std::string html = RenderReport(HostileReport());
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("<img")));
  EXPECT_THAT(html, Not(HasSubstr("<!--")));
  EXPECT_EQ(CountOf(html, "</style>"), 1u);
  EXPECT_EQ(CountOf(html, "</pre>"), 1u);
}

TEST(Report, IsWrittenWholeOrNotAtAll) {
  const TempDir directory;
  const std::string path = JoinPath(directory.path(), "report.html");
  WriteReport(path, TutorialReport({}));
  const std::string before = ReadFile(path);
  EXPECT_EQ(before, RenderReport(TutorialReport({})));
  EXPECT_EQ(Stat(path)->mode, 0644u);
  TrainingReport wrong = TutorialReport({});
  wrong.mistakes[0].truth = -1;
  EXPECT_THROW(WriteReport(path, wrong), Error);
  EXPECT_EQ(ReadFile(path), before);
  EXPECT_THROW(WriteReport(JoinPath(directory.path(), "no/report.html"), TutorialReport({})), Error);
  EXPECT_EQ(ListDir(directory.path()).size(), 1u);
}

TEST(ReportThumbnail, IsSmallAndKeepsItsShape) {
  const TempDir directory;
  const struct {
    int width, height, small_width, small_height;
  } cases[] = {{640, 480, 160, 120}, {300, 600, 80, 160}, {40, 20, 40, 20}, {160, 160, 160, 160}, {4000, 3, 160, 1}};
  for (const auto &one : cases) {
    const std::string path = WriteTo(directory, "a.jpg", image::MakeJpeg(one.width, one.height, {}));
    const Thumbnail thumbnail = MakeThumbnail(path);
    EXPECT_EQ(thumbnail.width, one.small_width);
    EXPECT_EQ(thumbnail.height, one.small_height);
    ASSERT_TRUE(thumbnail.data_uri.starts_with("data:image/jpeg;base64,"));
    EXPECT_LT(thumbnail.data_uri.size(), 20000u);
    const std::string bytes = DecodeUri(thumbnail.data_uri);
    const image::Image back =
        image::DecodeImage({reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()}, "thumbnail");
    EXPECT_EQ(back.width, one.small_width);
    EXPECT_EQ(back.height, one.small_height);
  }
}

TEST(ReportThumbnail, ShowsTheImage) {
  const TempDir directory;
  // The left half is red, the right one blue.
  image::Image halves;
  halves.Reset(400, 200);
  for (int y = 0; y < 200; ++y) {
    for (int x = 0; x < 400; ++x) {
      uint8_t *pixel = halves.rgb.data() + (static_cast<size_t>(y) * 400 + static_cast<size_t>(x)) * 3;
      pixel[0] = x < 200 ? 255 : 0;
      pixel[1] = 0;
      pixel[2] = x < 200 ? 0 : 255;
    }
  }
  const std::string bytes = DecodeUri(MakeThumbnail(WriteTo(directory, "a.jpg", EncodeJpeg(halves, 95))).data_uri);
  const image::Image back =
      image::DecodeImage({reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()}, "thumbnail");
  ASSERT_EQ(back.width, 160);
  const auto at = [&](int x, int y) {
    return back.rgb.data() + (static_cast<size_t>(y) * 160 + static_cast<size_t>(x)) * 3;
  };
  EXPECT_NEAR(at(20, 40)[0], 255, 12);
  EXPECT_NEAR(at(20, 40)[2], 0, 12);
  EXPECT_NEAR(at(140, 40)[0], 0, 12);
  EXPECT_NEAR(at(140, 40)[2], 255, 12);
}

TEST(ReportThumbnail, WhatCannotBeShownIsSaidInItsPlace) {
  const TempDir directory;
  TrainingReport report =
      TutorialReport({WriteTo(directory, "broken.jpg", "\xff\xd8\xff nonsense"),
                      WriteTo(directory, "good.png", image::MakePng(20, 20, PNG_COLOR_TYPE_RGB, 8, false)),
                      JoinPath(directory.path(), "gone.jpg")});
  const std::string html = RenderReport(report);
  EXPECT_EQ(CountOf(html, "<img class=\"tiny\" width=\"20\" height=\"20\""), 3u);
  EXPECT_EQ(CountOf(html, "class=\"nopicture\""), 5u);
  EXPECT_THAT(html, HasSubstr("broken.jpg"));
  EXPECT_THAT(html, HasSubstr("gone.jpg"));
  // 60 million pixels of one colour are a small file, and a lot of memory.
  const std::string large = WriteTo(directory, "large.png", image::MakePng(60000, 1000, PNG_COLOR_TYPE_GRAY, 1, false));
  EXPECT_THROW(MakeThumbnail(large), Error);
}

}  // namespace
}  // namespace trainyard::report
