// Run records. Thread-safe. All writes are on disk when the call returns.
//
// "Newest first" is by order of creation, not by clock; times of a run's states never go backwards even when the clock
// does.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/run.h"
#include "store/database.h"

namespace trainyard {

// One change of a run, applied in one transaction.
struct RunChange {
  // When given: the change is made only if the run is in one of these states now (else Apply answers nullopt).
  std::vector<RunState> only_from;
  std::vector<RunState> states;  // moves to make, in order; each must be legal
  std::optional<RunError> error;
  std::optional<int64_t> started_ms, ended_ms;  // set by the first Running and by the final state when not given
  std::optional<std::string> snapshot_id, display_name;
  std::optional<int32_t> rank_count;
  std::optional<ProcessIdentity> supervisor;
  std::map<std::string, std::string> tags;  // set or replaced
  std::vector<std::string> removed_tags;
  std::map<std::string, std::string> properties;  // new ones; the same value again is fine, another is kAlreadyExists
  std::vector<std::string> warnings;              // more of them
  int64_t time_ms = 0;                            // 0 = now
};

struct ExperimentSummary {
  std::string name;
  int64_t created_ms = 0;
  int64_t run_count = 0;
};

class RunStore {
 public:
  static constexpr size_t kMaxTags = 100, kMaxProperties = 100, kMaxKey = 100, kMaxValue = 1000;
  static constexpr size_t kMaxDisplayName = 256, kMaxErrorMessage = 3000, kMaxStderrTail = 32768;
  static constexpr size_t kMaxWarnings = 100, kMaxWarning = 1000;  // more are dropped, longer ones cut

  explicit RunStore(Database *database) : database_(database) {}

  struct Created {
    RunRecord run;
    bool existed = false;  // same id, same job hash: the run that was there
  };
  // Stores `run` (state kNotStarted whatever it says, created_ms 0 = now, root_id of its parent) and then makes the
  // moves of `states`. A parent that is not there is Error kNotFound, one that was canceled kInvalidState. Another job
  // under the same id is Error kAlreadyExists. Makes the run's directory (with user_logs, system_logs, journal,
  // control). `inside` is called within the transaction of a new run: what it does happens in the order in which runs
  // are created, and what it throws keeps the run from being.
  Created Create(const RunRecord &run, const std::vector<RunState> &states = {},
                 const std::function<void()> &inside = nullptr);

  RunRecord Get(std::string_view id);  // Error kNotFound
  std::optional<RunRecord> Find(std::string_view id);
  RunPage List(const RunFilter &filter);
  std::vector<ExperimentSummary> ListExperiments();

  // Error kInvalidState "run 'x' cannot go from Completed to Running". Answers the record afterwards.
  std::optional<RunRecord> Apply(std::string_view id, const RunChange &change);
  RunRecord Transition(std::string_view id, RunState to, const std::optional<RunError> &error = std::nullopt);

  // State changes with a sequence above `after`, oldest first.
  std::vector<StateChange> History(std::string_view id, int64_t after = 0);
  RunState State(std::string_view id);  // cheaper than Get

  void SetTag(std::string_view id, const std::string &key, const std::string &value);
  void RemoveTag(std::string_view id, const std::string &key);
  void SetProperty(std::string_view id, const std::string &key, const std::string &value);

  // Removes the records, metrics and directories of a run and its descendants; all of them have to be in a final state
  // (or NotStarted), else it is Error kInvalidState and nothing is removed. Error kNotFound when absent.
  void Delete(std::string_view id);

  // Wakes whoever watches the run.
  void RingBell(std::string_view id);

 private:
  Database *database_;
};

}  // namespace trainyard
