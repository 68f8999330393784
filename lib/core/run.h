// What is known of a run: plain values between the store, the drivers and the C API. Thread rule: values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/run_state.h"

namespace trainyard {

// Which kind of job the run executes.
enum class RunKind : int32_t {
  kCommand = 0,  // any program
  kTrain = 1,    // the training engine
  kScript = 2,   // a script with an interpreter
  kHost = 3,     // the host program executes it itself: start, log, complete or fail
};

// Why a run failed. Empty code = no error.
struct RunError {
  std::string code;  // "exit_code", "signal", "out_of_memory", "runner_died", "time_limit", "invalid_job", "data", ...
  std::string message;  // one line: what, where, what to do next
  int32_t rank = -1;    // the rank to blame; -1 = none
  std::string node;
  std::optional<int32_t> exit_code;
  std::string signal;        // "SIGSEGV"; empty = none
  std::string stderr_tail;   // the last lines of the rank's standard error, secrets masked
  std::string details_json;  // more, as a JSON object; empty = none
};

// A process that can be told from a later one with the same number.
struct ProcessIdentity {
  int64_t pid = 0;         // 0 = none
  int64_t start_time = 0;  // clock ticks since boot, /proc/<pid>/stat field 22
  std::string boot_id;
  std::string hostname;
};

struct RunRecord {
  std::string id;
  std::string experiment;
  std::string display_name;
  RunKind kind = RunKind::kCommand;
  RunState state = RunState::kNotStarted;
  std::string parent_id;  // empty = none
  std::string root_id;    // the parent's parent, and so on to the top; empty without a parent
  std::string compute = "local";
  std::string job_json;  // the job as submitted (no secrets)
  std::string job_hash;  // SHA-256 of its canonical form
  std::string snapshot_id;
  int32_t rank_count = 1;
  int64_t created_ms = 0;
  int64_t started_ms = 0;  // first instruction of the ranks; 0 = not yet
  int64_t ended_ms = 0;    // 0 = not yet
  RunError error;
  ProcessIdentity submitter;
  ProcessIdentity supervisor;
  std::map<std::string, std::string> tags;        // may change
  std::map<std::string, std::string> properties;  // set once
  std::vector<std::string> warnings;              // what people should know of, in the order it was found

  // The run at the top of its parents: itself without one.
  const std::string &Top() const { return root_id.empty() ? id : root_id; }
};

// A key, and the value it must have; unset = any value.
struct PairCondition {
  std::string key;
  std::optional<std::string> value;
};

struct RunFilter {
  std::string experiment;                          // empty = any
  std::vector<RunState> states;                    // empty = any
  std::vector<RunKind> kinds;                      // empty = any
  std::vector<PairCondition> tags, properties;     // all of them
  std::string parent_id;                           // its children
  std::string ancestor_id;                         // its children, their children, and so on
  bool top_level = false;                          // only runs without a parent
  int64_t created_from_ms = 0, created_to_ms = 0;  // 0 = open
  int32_t limit = 100;                             // newest first
  std::string page_token;                          // opaque; empty = first page
};

struct RunPage {
  std::vector<RunRecord> runs;  // job_json is left empty in lists
  std::string next_page_token;  // empty = no more
};

struct StateChange {
  int64_t sequence = 0;
  RunState state = RunState::kNotStarted;
  int64_t time_ms = 0;
};

}  // namespace trainyard
