// What the runner does with the engine: the training rank, and the validation of a training job. Both run in a process
// of their own, so that LibTorch reaches neither the host nor the supervisor. Thread rule: called once, by the main
// thread.
#pragma once

#include <string>

namespace trainyard {

// `trainyard-runner train <workspace> <run id>`: trains as the run's job.json says. What it prints is the rank's log.
// Returns the exit status of the process; a failure is also left in the run's error file.
int TrainRank(const std::string &workspace, const std::string &run_id);

// `trainyard-runner validate <report>`: `request` is {"train": {...}, "weights_path": "..."}; the engine's report is
// written to the file `report_path`.
void ValidateTraining(const std::string &request, const std::string &report_path);

}  // namespace trainyard
