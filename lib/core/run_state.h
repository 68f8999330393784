// The states of a run and the moves between them that are legal. Plain values; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace trainyard {

// The numbers are public (TY_RUN_... in include/trainyard/run.h) and stored; never renumber.
enum class RunState : int32_t {
  kNotStarted = 0,       // the record exists, nothing else does
  kStarting = 1,         // submitted; the supervisor is being started
  kProvisioning = 2,     // a compute is being made
  kPreparing = 3,        // environment, downloads, snapshot
  kQueued = 4,           // waits for slots or nodes
  kRunning = 5,          // ranks run
  kFinalizing = 6,       // outputs and metrics are collected
  kCompleted = 7,        // final
  kFailed = 8,           // final; the run's error says why
  kCancelRequested = 9,  // the process tree is being ended
  kCanceled = 10,        // final; nothing of the process tree is left
  kNotResponding = 11,   // the supervisor stopped beating; may return to the state before
  kPaused = 12,          // preempted or held; goes on as Queued or Running
};

// "Running", "CancelRequested", ... and back; nullopt for an unknown name.
std::string_view RunStateName(RunState state);
std::optional<RunState> RunStateFromName(std::string_view name);

// Completed, Failed, Canceled.
bool IsFinal(RunState state);

// Live states move forward in the order above (steps may be skipped); any live state may become Failed, CancelRequested
// or NotResponding; NotResponding may return to any live state; a preempted Running or Paused run may go back to
// Queued; a cancel that loses the race against the run's own end may still see it Completed or Failed. Final states
// never move.
bool IsLegalTransition(RunState from, RunState to);

}  // namespace trainyard
