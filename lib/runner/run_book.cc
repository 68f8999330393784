#include "runner/run_book.h"

#include <unistd.h>

#include "drivers/local/settle.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

namespace trainyard {
namespace {

constexpr int64_t kFinishPatienceMs = 10000;
constexpr useconds_t kFinishPauseUs = 250000;

}  // namespace

bool RunBook::TryCommit(const std::vector<RunState> &states, const std::optional<RunError> &error,
                        std::map<std::string, std::string> properties) {
  const RunState now = store_->runs().State(run_id_);
  if (IsFinal(now)) {
    throw Error::InvalidState("run '" + run_id_ + "' was already made " + std::string(RunStateName(now)));
  }
  cancel_requested_ = cancel_requested_ || now == RunState::kCancelRequested;
  properties.insert(properties_.begin(), properties_.end());
  RunChange change;
  change.only_from = {now};
  RunState at = now;
  for (const RunState state : states) {
    // A cancel that came between, or a state skipped: moves that are not possible any more are left out.
    if (!IsLegalTransition(at, state)) continue;
    change.states.push_back(state);
    at = state;
  }
  change.supervisor = supervisor_;
  change.started_ms = started_ms_;
  change.error = error;
  change.properties = properties;
  if (change.states.empty() && !supervisor_ && !started_ms_ && properties.empty()) return true;
  if (!store_->runs().Apply(run_id_, change)) return false;
  supervisor_.reset();
  started_ms_.reset();
  properties_.clear();
  return true;
}

void RunBook::Commit() {
  try {
    while (!TryCommit(pending_, std::nullopt, {})) {
    }
    pending_.clear();
  } catch (const Error &error) {
    if (error.status() == Status::kInvalidState) throw;
    Log(LogLevel::kWarning, std::string("cannot write the state of the run, going on: ") + error.what());
  }
}

void RunBook::Finish(RunState state, const RunError &error, const std::map<std::string, std::string> &properties) {
  std::vector<RunState> states = pending_;
  if (state == RunState::kCanceled) states.push_back(RunState::kCancelRequested);
  states.push_back(state);
  const std::optional<RunError> reason = error.code.empty() ? std::nullopt : std::optional<RunError>(error);
  // NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores): the analyzer does not follow the exception to its use
  const int64_t started = MonotonicMs();
  bool said = false;
  for (;;) {
    try {
      if (TryCommit(states, reason, properties)) return;
      continue;
    } catch (const Error &failure) {
      if (failure.status() == Status::kInvalidState) throw;
      Log(LogLevel::kError, std::string("cannot write the end of the run: ") + failure.what());
    }
    // First of all, in case this process does not get to the end of its patience.
    if (!said) said = Outcome(store_->RunPaths(run_id_)).Write(state, error);
    if (MonotonicMs() - started >= kFinishPatienceMs) return;
    usleep(kFinishPauseUs);
  }
}

}  // namespace trainyard
