// The gate between those who log to a run from outside and whoever ends it: a value gets in before the last fold, or is
// refused; none is acknowledged and lost. Ranks need no gate: when their run ends, they are gone.
//
// runs/<id>/journal.lock: who logs holds it shared while it looks at the state and appends; who ends the run holds it
// exclusively from the last fold to the commit of the final state. Thread rule: a gate is held by one thread at a time.
#pragma once

#include <cstdint>

#include "store/layout.h"
#include "util/fs.h"

namespace trainyard {

class MetricGate {
 public:
  // A process that was stopped in the middle of an append must not keep the run from ending.
  static constexpr int64_t kPatienceMs = 2000;

  explicit MetricGate(const RunLayout &run) : path_(run.JournalLock()) {}
  MetricGate(const MetricGate &) = delete;
  MetricGate &operator=(const MetricGate &) = delete;

  // To log: waits while the run is being ended.
  void Enter();
  // To end the run: waits for those who log, but no longer than `patience_ms`; false = not all of them were done. Never
  // throws: a run ends also where no file can be made.
  bool Close(int64_t patience_ms = kPatienceMs);
  void Leave();

 private:
  const std::string path_;
  UniqueFd fd_;
};

// Holds a gate for a scope.
class GateEntry {
 public:
  explicit GateEntry(MetricGate *gate) : gate_(gate) { gate_->Enter(); }
  GateEntry(const GateEntry &) = delete;
  GateEntry &operator=(const GateEntry &) = delete;
  ~GateEntry() { gate_->Leave(); }

 private:
  MetricGate *gate_;
};

}  // namespace trainyard
