// Makes an environment once per content hash and shares it: <workspace>/environments/<hash>/ (store/layout.h).
//
// Whoever makes one holds its lock file exclusively; others that want the same wait for it. What a crash left torn is
// made again, for ready.json is written last. resolved.json is the lock file of what was installed: {"environment",
// "hash", "kind", "python", "python_version", "made_ms", "packages": [{"name", "version"}]}.
// Thread rule: the thread that calls must live as long as what it starts (launch/local/rank_process.h).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/environment.h"
#include "runner/environment/prepared.h"
#include "store/layout.h"

namespace trainyard {

struct PrepareOptions {
  std::string log;                // file that is appended to; empty = none
  std::string marker;             // in the environment of what is started: the run's id
  std::function<bool()> go_on;    // false ends it with Error kCanceled
  std::function<void()> on_make;  // once, before anything that may take long: waiting, or making
};

struct PrepareReport {
  PreparedEnvironment prepared;
  std::string hash, directory;
  bool reused = false;
  Json ready;  // null where nothing is kept
};

// Errors carry the detail "code" = "environment".
PrepareReport PrepareEnvironment(const Environment &environment, const Layout &workspace,
                                 const PrepareOptions &options);

// What would keep it from being made, one line each; nothing is made.
std::vector<std::string> EnvironmentProblems(const Environment &environment, const Layout &workspace);

// `trainyard-runner check-environment <workspace> <report>` and `build-environment <workspace> <directory> <host pid>
// <host start time>`; requests and reports as in drivers/local/environments.cc.
void CheckEnvironmentTask(const std::string &request, const std::string &workspace, const std::string &report_path);
int BuildEnvironmentTask(const std::string &request, const std::string &workspace, const std::string &directory,
                         int64_t host_pid, int64_t host_start_time);

}  // namespace trainyard
