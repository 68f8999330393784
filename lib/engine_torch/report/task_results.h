// The part of the report about models that tell labels or numbers, in the place of confusion.h's: a table of the
// labels; what was predicted for which true numbers; and the images with the greatest errors. Thread rule: functions.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine_torch/report/report.h"

namespace trainyard::report {

inline constexpr size_t kMostLabelRows = 100;

// `results` is of at least one image.
std::string RenderLabels(const LabelResults &results);
// `noun`: what one sample is called.
std::string RenderNumbers(const NumberMetrics &metrics, const std::string &noun);
// The lowest R2 first, of which what is no number is lowest; by index.
std::vector<size_t> WorstOutputs(const std::vector<OutputResults> &outputs);
// Of several numbers of each sample: a table of them, the worst first, and of the first kMostOutputPictures what
// RenderNumbers shows.
std::string RenderOutputs(const TrainingReport &report);

// The greatest errors first, at most `most`; among equals by path.
std::vector<Miss> WorstMisses(std::vector<Miss> misses, size_t most);
// Their errors are distances where the report has numbers; else losses of labels.
std::string RenderMisses(const TrainingReport &report);

}  // namespace trainyard::report
