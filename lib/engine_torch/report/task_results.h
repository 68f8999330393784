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
std::string RenderNumbers(const NumberMetrics &metrics);

// The greatest errors first, at most `most`; among equals by path.
std::vector<Miss> WorstMisses(std::vector<Miss> misses, size_t most);
// `of_numbers`: the errors are distances; else losses of labels.
std::string RenderMisses(const std::vector<Miss> &misses, bool of_numbers);

}  // namespace trainyard::report
