// What a training job leaves for people, outputs/report.html (report/report.h): its epochs, what the best one made of
// the validation samples, its settings, times and machine. Thread rule: the trainer's thread.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "engine_torch/report/report.h"
#include "engine_torch/train/answers.h"
#include "engine_torch/train/checkpoint.h"
#include "engine_torch/train/dataset.h"
#include "engine_torch/train/settings.h"

namespace trainyard {

// What the model said of one validation sample.
struct Verdict {
  int64_t predicted = -1;      // -1: it was not asked
  int64_t better_classes = 0;  // those that it gave more than the true one
  double probability = 0;      // of `predicted`
  double log_odds = 0;         // of two classes: of the second one against the first
};

// One for each sample of the validation set.
using Verdicts = std::vector<Verdict>;

// Of these samples, whose rows `logits` [n, classes] and `targets` [n] are.
void AddVerdicts(const at::Tensor &logits, const at::Tensor &targets, const std::vector<size_t> &samples,
                 Verdicts *verdicts);

// Seconds, and where they went; of this process.
struct RunTimes {
  int64_t started_ms = 0;  // wall time
  double preparing = 0;
  double training = 0;
  double validation = 0;
  double checkpoints = 0;
};

struct RunFacts {
  const TrainSettings *settings = nullptr;
  const CheckpointInfo *info = nullptr;
  const Dataset *train = nullptr;
  const Dataset *validation = nullptr;
  const Verdicts *verdicts = nullptr;  // of the best epoch, of a classification; empty = not known
  const Answers *answers = nullptr;    // of the best epoch, of other tasks; empty = not known
  const RunTimes *times = nullptr;
  std::string device;
};

report::TrainingReport DescribeRun(const RunFacts &facts, report::Ending ending, const std::string &message);

}  // namespace trainyard
