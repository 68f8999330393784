// Predicted against true numbers as inline SVG: a dot for each image, and the line on which predictions are right. As
// line_chart.h's pictures it needs no script. Thread rule: values and functions.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine_torch/report/task_metrics.h"

namespace trainyard::report {

inline constexpr size_t kMostDots = 2000;

// `noun`: what one sample is called. "" when there is no finite pair. Of more than kMostDots answers as many are drawn,
// evenly picked in the order given.
std::string RenderScatter(const std::vector<NumberAnswer> &answers, const std::string &noun = "image");

}  // namespace trainyard::report
