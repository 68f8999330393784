// What a training run leaves for people to look at: one HTML file with curves, the confusion matrix (or the labels, or
// predicted against true numbers), the worst mistakes with their pictures, settings, timings and machine. The file
// needs nothing beside itself: styles, curves and pictures are in it, there is no script, and its content security
// policy forbids the browser every request. It follows the light or dark scheme of the reader, prints, and fits a
// phone. Its size is bounded, whatever the number of epochs, classes, mistakes or warnings.
//
// This library knows neither the trainer nor LibTorch: who trains fills in a TrainingReport.
//
// Thread rule: values and functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "engine_torch/report/metrics.h"
#include "engine_torch/report/task_metrics.h"
#include "util/json.h"

namespace trainyard::report {

inline constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

// What is written at most; more is counted.
inline constexpr size_t kMostMistakes = 24;
inline constexpr size_t kMostOutputRows = 100;    // of several numbers, the table
inline constexpr size_t kMostOutputPictures = 4;  // and those with a picture
inline constexpr size_t kMostEpochRows = 100;     // of the table; the curves have their own limit
inline constexpr size_t kMostWarnings = 50;
inline constexpr size_t kMostFacts = 100;  // of one table: settings of a group, timings, ...
inline constexpr size_t kMostSettingGroups = 30;

// One line of the history.
struct EpochRow {
  int64_t epoch = 0;  // from 1
  double train_loss = kNotMeasured;
  double train_accuracy = kNotMeasured;
  double val_loss = kNotMeasured;
  double val_accuracy = kNotMeasured;
  double learning_rate = kNotMeasured;
  double seconds = kNotMeasured;
};

// A validation image that was taken for another class.
struct Mistake {
  std::string path;  // as it is shown
  int64_t truth = 0;
  int64_t predicted = 0;
  double probability = 0;  // that the model gave to `predicted`
  std::string image_path;  // what its thumbnail is made from; empty: none
};

// A validation image for which other labels, or another number, were told.
struct Miss {
  std::string path;   // as it is shown
  std::string truth;  // in words
  std::string predicted;
  double error = 0;        // the distance of the numbers, or the image's loss
  std::string image_path;  // as a Mistake's
};

struct LabelResults {
  std::vector<std::string> names;
  LabelMetrics metrics;
};

// Of one of several numbers of each image.
struct OutputResults {
  std::string name;
  NumberMetrics metrics;
};

struct Fact {
  std::string name;
  std::string value;
};

struct Timing {
  std::string name;
  double seconds = 0;
};

enum class Ending { kCompleted, kStopped, kFailed, kCanceled };

struct TrainingReport {
  std::string name;  // of the run
  std::string architecture;
  std::string mode;            // "finetune", "feature"
  std::string noun = "image";  // what one sample is called; its plural has an s
  int64_t started_ms = 0;      // wall time, 0: not known
  int64_t finished_ms = 0;     // the same

  Ending ending = Ending::kCompleted;
  std::string ending_message;  // the error, or why it was stopped; may have several lines

  int64_t planned_epochs = 0;  // 0: not known
  std::vector<EpochRow> epochs;
  int64_t best_epoch = 0;  // whose weights were kept; 0: none

  // Of the weights that were kept, on the validation images.
  ConfusionMatrix confusion;
  std::vector<TopKCount> top_k;
  std::vector<Mistake> mistakes;  // in any order; the surest ones are shown

  double roc_auc = kNotMeasured;  // of two classes

  // The same of other tasks, where there is no confusion: one of the two. Of several numbers, `numbers` has the means
  // and `outputs` each of them.
  std::optional<LabelResults> labels;
  std::optional<NumberMetrics> numbers;
  std::vector<OutputResults> outputs;
  std::vector<Miss> misses;  // in any order; the greatest errors are shown

  std::vector<Fact> data;
  Json settings = Json::Object();  // nested, as the job has them
  std::vector<Timing> timings;
  std::vector<Fact> machine;          // hardware and versions
  std::vector<std::string> warnings;  // bad images and the like

  // Whether samples can be looked at.
  bool HasPictures() const { return noun == "image"; }
};

// The whole file. A picture that cannot be made is a line of text in its place. Throws kInvalidArgument for a report
// that contradicts itself (classes that are none, labels without names, epochs that do not ascend).
std::string RenderReport(const TrainingReport &report);

// In place, whole, or not at all. Throws what writing throws.
void WriteReport(const std::string &path, const TrainingReport &report);

}  // namespace trainyard::report
