// One launch of a run's ranks: from their first instruction until nothing of them is left. Thread rule: one thread at a
// time, the one that lives as long as the process.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/job.h"
#include "core/run.h"
#include "launch/launcher.h"
#include "runner/run_beat.h"
#include "runner/sampler.h"
#include "store/layout.h"

namespace trainyard {

struct AttemptResult {
  enum class End { kCompleted, kFailed, kCanceled, kTimeLimit, kMemoryLimit, kPreempted };
  End end = End::kCompleted;
  RunError error;                 // of a failed one; not masked yet
  bool port_taken = false;        // rank 0 could not listen on MASTER_PORT
  int64_t processes_ended = 0;    // by us, after the ranks themselves
  std::vector<ProcessInfo> left;  // that could not be ended
};

struct AttemptPlan {
  explicit AttemptPlan(RunLayout run_layout) : layout(std::move(run_layout)) {}
  LaunchRequest launch;
  std::string launcher = "local";
  RunLayout layout;
  int32_t number = 0;               // 0 = the first
  bool is_train = false;            // its rank looks for a stop request itself
  bool is_shell = false;            // signals go to the shell's whole group
  int64_t deadline_ms = 0;          // MonotonicMs; of all attempts together
  int64_t time_limit_ms = 0;        // for the message
  uint64_t memory_limit_bytes = 0;  // of all processes together; 0 = none
  std::vector<GpuDevice> gpus;      // of the run, for the samples
  std::function<void()> on_start;   // once the ranks run
  std::function<void()> on_tick;    // about every second
};

AttemptResult RunAttempt(const AttemptPlan &plan, RunBeat *beat);

// The run's error for the exit that is to blame.
RunError DescribeExit(const RankExit &exit, const RunLayout &layout, bool stop_requested);

}  // namespace trainyard
