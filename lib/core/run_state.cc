#include "core/run_state.h"

#include <array>

namespace trainyard {
namespace {

constexpr std::array<std::string_view, 13> kNames = {
    "NotStarted", "Starting", "Provisioning",    "Preparing", "Queued",        "Running", "Finalizing",
    "Completed",  "Failed",   "CancelRequested", "Canceled",  "NotResponding", "Paused",
};

}  // namespace

std::string_view RunStateName(RunState state) {
  const auto index = static_cast<size_t>(state);
  return index < kNames.size() ? kNames[index] : std::string_view("Unknown");
}

std::optional<RunState> RunStateFromName(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<RunState>(i);
  }
  return std::nullopt;
}

bool IsFinal(RunState state) {
  return state == RunState::kCompleted || state == RunState::kFailed || state == RunState::kCanceled;
}

bool IsLegalTransition(RunState from, RunState to) {
  using enum RunState;
  if (from == to || IsFinal(from) || to == kNotStarted) return false;
  switch (to) {
    case kFailed:
    case kCancelRequested:
    case kNotResponding:
      return true;
    case kCanceled:
      return from == kCancelRequested;
    case kPaused:
      return from == kQueued || from == kRunning || from == kNotResponding;
    case kCompleted:
      // A run that the host executes itself ends straight from Running.
      return from == kFinalizing || from == kRunning || from == kCancelRequested || from == kNotResponding;
    default:
      break;
  }
  if (from == kNotResponding) return true;
  if (from == kCancelRequested) return false;
  if (from == kPaused) return to == kQueued || to == kRunning;
  if (from == kRunning && to == kQueued) return true;
  return static_cast<int32_t>(to) > static_cast<int32_t>(from);
}

}  // namespace trainyard
