// The supervisor's pen: moves its run's record through the states, with as few synced commits as the truth allows, and
// gets the final state down even when the disk is full. Thread rule: one thread at a time.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/run.h"
#include "store/store.h"

namespace trainyard {

class RunBook {
 public:
  RunBook(Store *store, std::string run_id, ProcessIdentity supervisor)
      : store_(store), run_id_(std::move(run_id)), supervisor_(std::move(supervisor)) {}

  // Notes a state; it is in the record at the next Commit at the latest.
  void Advance(RunState state) { pending_.push_back(state); }
  // Notes a property of the run, likewise.
  void SetProperty(const std::string &key, const std::string &value) { properties_[key] = value; }
  // When the ranks started, if that was not when the record is written.
  void set_started_ms(int64_t time_ms) { started_ms_ = time_ms; }
  // Writes what was noted. A failure to write is logged and left to the next call: the run is more than its record. An
  // Error kInvalidState says that somebody else has ended the run.
  void Commit();
  bool cancel_requested() const { return cancel_requested_; }
  // The last word; returns when it is written, or cannot be, and then says so in runs/<id>/outcome for whoever settles
  // the run.
  void Finish(RunState state, const RunError &error, const std::map<std::string, std::string> &properties);

 private:
  bool TryCommit(const std::vector<RunState> &states, const std::optional<RunError> &error,
                 std::map<std::string, std::string> properties);

  Store *store_;
  const std::string run_id_;
  std::optional<ProcessIdentity> supervisor_;  // until it is written
  std::optional<int64_t> started_ms_;          // until it is written
  std::vector<RunState> pending_;
  std::map<std::string, std::string> properties_;  // until they are written
  bool cancel_requested_ = false;
};

}  // namespace trainyard
