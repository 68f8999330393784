// The part of the report about single images. Thread rule: functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine_torch/report/report.h"

namespace trainyard::report {

// A thumbnail, or why there is none. `image_path` empty: none was kept.
std::string Picture(const std::string &image_path, const std::string &alternative);

// Those the model was surest of, at most `most`; among equals by path.
std::vector<Mistake> WorstMistakes(std::vector<Mistake> mistakes, size_t most);

// `wrong` of `images` validation images were taken for another class.
std::string RenderMistakes(const TrainingReport &report, int64_t wrong, int64_t images);

}  // namespace trainyard::report
