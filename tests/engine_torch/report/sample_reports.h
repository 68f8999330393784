// Reports of trainings that did not take place, for tests and for the eye. Single-threaded.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine_torch/report/html.h"
#include "engine_torch/report/report.h"

namespace trainyard::report {

inline EpochRow SampleEpoch(int64_t epoch, double of) {
  const double done = static_cast<double>(epoch) / of;
  const double wave = std::sin(static_cast<double>(epoch) * 2.3);
  EpochRow row;
  row.epoch = epoch;
  row.train_loss = 0.08 + 0.6 * std::exp(-4 * done) + 0.02 * wave;
  row.val_loss = 0.17 + 0.4 * std::exp(-5 * done) + 0.08 * done * done - 0.03 * wave;
  row.train_accuracy = 0.97 - 0.4 * std::exp(-5 * done) - 0.008 * wave;
  row.val_accuracy = 0.95 - 0.3 * std::exp(-6 * done) + 0.012 * wave;
  row.learning_rate = 0.001 * std::pow(0.1, std::floor(done * 25 / 7.01));
  row.seconds = 11.4 + wave;
  return row;
}

inline Json SampleSettings() {
  return Json::Parse(R"({
    "data": {"directory": "images/hymenoptera", "bad_images": "skip", "workers": 0, "cache": "auto"},
    "transform": {"resize": 256, "crop": 224, "augment": true, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "model": {"architecture": "resnet18", "weights": "https://user:secret@models.example/resnet18.pth?sig=abc", "mode": "finetune"},
    "train": {"epochs": 25, "batch_size": 4, "seed": 0, "nan_policy": "fail"},
    "optimizer": {"name": "sgd", "lr": 0.001, "momentum": 0.9, "weight_decay": 0},
    "schedule": {"name": "step", "step_size": 7, "gamma": 0.1},
    "device": "auto", "threads": 0, "resumed_from": null})",
                     "settings");
}

// Two classes, 25 epochs, eight mistakes with pictures: the tutorial's job. `pictures` are used in turn; may be empty.
inline TrainingReport TutorialReport(const std::vector<std::string> &pictures) {
  TrainingReport report;
  report.name = "hymenoptera-finetune";
  report.architecture = "resnet18";
  report.mode = "finetune";
  report.started_ms = 1795234567000;
  report.finished_ms = report.started_ms + 291000;
  report.planned_epochs = 25;
  for (int64_t epoch = 1; epoch <= 25; ++epoch) report.epochs.push_back(SampleEpoch(epoch, 25));
  report.best_epoch = 17;
  report.confusion = ConfusionMatrix({"ants", "bees"});
  report.confusion.counts = {66, 4, 4, 79};
  for (int i = 0; i < 8; ++i) {
    Mistake mistake;
    mistake.truth = i % 2;
    mistake.predicted = 1 - mistake.truth;
    mistake.path =
        std::string(i % 2 == 0 ? "val/ants/" : "val/bees/") + std::to_string(2219621907 + i * 7919) + "_47bc7cc6b0.jpg";
    mistake.probability = 0.99 - 0.06 * i;
    if (!pictures.empty()) mistake.image_path = pictures[static_cast<size_t>(i) % pictures.size()];
    report.mistakes.push_back(mistake);
  }
  report.data = {{"training images", "244"}, {"validation images", "153"}, {"classes", "2"}, {"not readable", "1"}};
  report.settings = SampleSettings();
  report.timings = {{"preparation", 2.31},
                    {"training", 221.5},
                    {"validation", 61.2},
                    {"checkpoints", 5.4},
                    {"model and report", 0.62}};
  report.machine = {{"device", "CPU"},
                    {"processor", "AMD EPYC 7763 64-Core Processor"},
                    {"threads", "2"},
                    {"memory", "7.8 GB"},
                    {"system", "Linux 6.1.0, glibc 2.36"},
                    {"trainyard", "0.1.0"},
                    {"LibTorch", "2.11.0+cpu"}};
  report.warnings = {
      "left out a training image: cannot decode 'train/ants/imageNotFound.jpg': the file is truncated; replace or "
      "remove it"};
  return report;
}

// The tutorial's job with labels in the place of classes: `labels` of them, of 50 images.
inline TrainingReport LabelsReport(size_t labels, const std::vector<std::string> &pictures) {
  TrainingReport report = TutorialReport(pictures);
  report.name = "labels";
  report.labels = LabelResults();
  for (size_t i = 0; i < labels; ++i) report.labels->names.push_back("label " + std::to_string(i + 1));
  // The first label: no image has it.
  report.labels->metrics = ComputeLabelMetrics(labels, 50, [](size_t label, size_t image) {
    const bool truth = image % (label + 2) == 0 && label > 0;
    return ScoredTruth{std::sin(static_cast<double>(image * 7 + label)) + (truth ? 0.8 : -0.8), truth};
  });
  for (const Mistake &mistake : report.mistakes) {
    report.misses.push_back({mistake.path, report.labels->names.front(), mistake.truth == 0 ? "" : "label 1, label 2",
                             mistake.probability * 3, mistake.image_path});
  }
  report.confusion = {};
  report.mistakes.clear();
  return report;
}

// The same with numbers.
inline TrainingReport NumbersReport(const std::vector<std::string> &pictures) {
  TrainingReport report = LabelsReport(2, pictures);
  report.name = "numbers";
  report.labels.reset();
  std::vector<NumberAnswer> answers;
  for (int i = 0; i < 60; ++i) answers.push_back({i * 0.5, 3 + i * 0.4 + std::sin(i * 1.7)});
  report.numbers = ComputeNumberMetrics(answers);
  for (Miss &miss : report.misses) {
    miss.truth = "0.25";
    miss.predicted = Number(0.25 + miss.error);
  }
  for (EpochRow &row : report.epochs) row.train_accuracy = row.val_accuracy = kNotMeasured;
  return report;
}

// `classes` classes with names of their field, `epochs` epochs, `mistakes` mistakes.
inline TrainingReport LargeReport(size_t classes, int64_t epochs, size_t mistakes,
                                  const std::vector<std::string> &pictures) {
  static const char *const kNames[] = {"tench", "goldfish", "great white shark", "hammerhead", "electric ray", "cock",
                                       "hen",   "ostrich",  "brambling",         "goldfinch",  "house finch",  "junco"};
  TrainingReport report = TutorialReport(pictures);
  report.name = "large";
  std::vector<std::string> names;
  for (size_t i = 0; i < classes; ++i) {
    names.push_back(kNames[i % std::size(kNames)] +
                    (i < std::size(kNames) ? "" : " " + std::to_string(i / std::size(kNames) + 1)));
  }
  report.confusion = ConfusionMatrix(names);
  for (size_t truth = 0; truth < classes; ++truth) {
    const auto row = static_cast<int64_t>(truth);
    const auto all = static_cast<int64_t>(classes);
    report.confusion.Add(row, row, 40 - row % 7);
    report.confusion.Add(row, (row + 1) % all, row % 5);
    report.confusion.Add(row, (row * 7 + 3) % all, row % 3);
  }
  report.mistakes.clear();
  for (size_t i = 0; i < mistakes; ++i) {
    Mistake mistake;
    mistake.truth = static_cast<int64_t>(i % classes);
    mistake.predicted = static_cast<int64_t>((i + 1) % classes);
    mistake.path = "val/" + names[i % classes] + "/" + std::to_string(i) + ".jpg";
    mistake.probability = 1 / (1 + 0.01 * static_cast<double>(i));
    if (!pictures.empty()) mistake.image_path = pictures[i % pictures.size()];
    report.mistakes.push_back(mistake);
  }
  report.epochs.clear();
  for (int64_t epoch = 1; epoch <= epochs; ++epoch)
    report.epochs.push_back(SampleEpoch(epoch, static_cast<double>(epochs)));
  report.planned_epochs = epochs;
  report.best_epoch = epochs * 2 / 3;
  int64_t images = 0;
  for (const int64_t count : report.confusion.counts) images += count;
  report.top_k = {{.k = 5, .correct = images * 97 / 100}};
  return report;
}

// Everything that comes from outside tries to be markup.
inline TrainingReport HostileReport() {
  const std::string script = "<script>document.title='owned'</script>";
  const std::string attribute = "\"'><img src=http://report.invalid/x onerror=alert(1)>";
  TrainingReport report = TutorialReport({});
  report.name = "run " + script + " \u732b & \U0001F41D \xFF\xFE \x1b[31m";
  report.architecture = "]]></style>" + script;
  report.mode = "<!-- ";
  report.ending = Ending::kFailed;
  report.ending_message = "line 1 " + script + "\nline 2 </pre> &amp;";
  report.confusion = ConfusionMatrix({attribute, script + " \u05d0\u05e0\u05d8 \u202e evil", std::string(300, 'w')});
  report.confusion.counts = {5, 2, 1, 1, 6, 0, 0, 3, 4};
  for (Mistake &mistake : report.mistakes) {
    mistake.path = "val/" + attribute + "\n\r\t\x01" + std::string(1, '\0') + "\xC3/" + std::string(400, 'x') + ".jpg";
    mistake.image_path = "/no/such/" + attribute;
  }
  report.data = {{script, attribute}};
  report.machine = {{attribute, script}};
  report.timings = {{script, 1}};
  report.warnings = {script, attribute};
  report.settings = Json::Object();
  report.settings.Set(script, attribute);
  Json group = Json::Object();
  group.Set(attribute, script);
  report.settings.Set("</style>", group);
  return report;
}

// The loss became no number in the third epoch.
inline TrainingReport FailedReport() {
  TrainingReport report = TutorialReport({});
  report.epochs.resize(3);
  report.epochs[1].train_loss = 42.5;
  report.epochs[2].train_loss = std::numeric_limits<double>::quiet_NaN();
  report.epochs[2].val_loss = std::numeric_limits<double>::infinity();
  report.best_epoch = 1;
  report.confusion = ConfusionMatrix({"ants", "bees"});
  report.mistakes.clear();
  report.ending = Ending::kFailed;
  report.ending_message =
      "the loss is nan in epoch 3, step 17 (4 images): try a smaller optimizer.lr (now 10), and look at "
      "transform.mean, "
      "transform.std and the weights; train.nan_policy skip leaves single such steps out";
  return report;
}

}  // namespace trainyard::report
