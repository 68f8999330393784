// The observer's side of "no run stays Running for ever": whoever looks at a run whose supervisor is gone brings it to
// its end. Thread rule: SettleIfDead is thread-safe; a RunObserver belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/run.h"
#include "store/store.h"

namespace trainyard {

// runs/<id>/outcome: made with its blocks at the start of the run, so that the supervisor can write into it what became
// of the run when the disk is full and the record cannot be written. JSON, padded with NUL to 16 KiB:
// {"state": "Completed", "error": {"code", "message", "rank", "node", "exit_code", "signal", "stderr_tail"}}; all NUL =
// nothing was said.
class Outcome {
 public:
  static constexpr size_t kBytes = 16384;
  explicit Outcome(const RunLayout &run) : path_(run.Root() + "/outcome") {}
  void Reserve() const;  // best effort
  bool Write(RunState state, const RunError &error) const;
  bool Read(RunState *state, RunError *error) const;

 private:
  std::string path_;
};

// For the records: who submits, who supervises.
ProcessIdentity ThisProcess();

// Renames code/outputs to outputs and code/logs to logs; what is already in place stays.
void CollectOutputs(const RunLayout &run);

// The run is not final and nobody supervises it: ends what is left of it, collects outputs and metrics, and makes it
// Failed (runner_died), or Canceled when that was asked, or what its supervisor could still say. Returns true when it
// did.
bool SettleIfDead(Store *store, const std::string &run_id);

// Watches one run from outside.
class RunObserver {
 public:
  // A heartbeat that stands still for this long, by the monotonic clock, means NotResponding. A supervisor that is to
  // cancel its run and is silent for half of it is continued, in case it was stopped, and after as long again killed.
  static constexpr int64_t kSilenceMs = 30000;

  RunObserver(std::shared_ptr<Store> store, std::string run_id, int64_t silence_ms = kSilenceMs);

  // The state now, after settling a run whose supervisor died, marking one that is silent, and returning one that moves
  // again. Cheap when called often: it looks at the supervisor when the state has changed, else at most four times a
  // second.
  RunState Check();

 private:
  void CheckHeartbeat(RunState state);
  bool IsOfThisBoot() const;
  void RousePastCancel(int64_t now, int64_t silent_ms);

  std::shared_ptr<Store> store_;
  const std::string run_id_;
  const int64_t silence_ms_;
  RunState last_state_ = RunState::kNotStarted;
  int64_t last_look_ms_ = -1;
  uint64_t last_beat_ = 0;
  int64_t last_move_ms_ = -1;  // -1 = not looked yet
  bool heard_ = false;         // last_move_ms_ is the time of a beat, not of the first look
  int64_t roused_ms_ = -1;     // when it was told to continue
};

// For the supervisor, who beats, and for the observer.
struct Heartbeat {
  uint64_t count = 0;        // 0 when there is none
  int64_t monotonic_ms = 0;  // of the supervisor's boot; 0 when it does not say
};
void WriteHeartbeat(int fd, uint64_t count);
Heartbeat ReadHeartbeat(const RunLayout &run);

}  // namespace trainyard
