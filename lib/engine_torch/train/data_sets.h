// The training and validation data of a job, whatever its settings name: images or arrays. Thread rule: a function.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine_torch/train/dataset.h"
#include "engine_torch/train/memory_budget.h"
#include "engine_torch/train/settings.h"

namespace trainyard {

struct DataSets {
  std::unique_ptr<Dataset> train;
  std::unique_ptr<Dataset> validation;
  std::vector<double> weights;     // how often each training sample is drawn, against others; empty: once an epoch
  int64_t test_images = 0;         // that a manifest keeps for later
  std::vector<std::string> notes;  // for people: what was ignored
};

// Errors carry the code "data".
DataSets OpenDataSets(const TrainSettings &settings, const std::shared_ptr<MemoryBudget> &budget);

}  // namespace trainyard
