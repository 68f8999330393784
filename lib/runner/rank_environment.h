// The variables that every rank of a run finds in its environment, on top of what the supervisor inherited and beside
// those of each rank (launch/launcher.h, RankVariables): built here and nowhere else. Thread rule: functions of values.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/job.h"
#include "core/run.h"
#include "store/layout.h"

namespace trainyard {

struct RankEnvironment {
  const Job *job = nullptr;
  const RunRecord *run = nullptr;
  std::string workspace;  // its absolute location
  std::map<std::string, std::string> secrets;
  std::string weights_path;  // of a training job; empty = none
  std::string runtime_directory;
  std::string library;  // libtrainyard.so, for bindings; empty = not known
  int32_t node_count = 1;
  int32_t attempt = 0;
  int32_t restarts = 0;  // of the group, see Distribution::max_restarts
};

// In order of rising weight: defaults that only hold when neither job nor supervisor sets the variable, the job's
// variables, its secrets, the run's own. PYTHONPATH is the one that is added to: the Python packages of the runtime
// directory come after what the job, or the supervisor's environment, has in it.
std::map<std::string, std::string> MakeRankVariables(const RankEnvironment &environment);

}  // namespace trainyard
