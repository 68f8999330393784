// Where things are inside a workspace directory. Pure path arithmetic: values, thread-safe.
//
//   <workspace>/trainyard.db          SQLite            workspace.lock  shared by every process that has it open
//   objects/ab/cdef...                by SHA-256        environments/<hash>/
//   runs/<run id>/job.json            the job as submitted
//                 code/  outputs/  logs/  user_logs/  system_logs/  journal/
//                 images/             files of logged images
//                 inputs/NAME         each input: a link to the data, or the run's own copy
//                 journal.lock        see store/metric_gate.h
//                 lock                flock held by the supervisor, or the host that executes the run, while it lives
//                 heartbeat           overwritten by the supervisor, little-endian: 8 bytes counter, 8 bytes its
//                                     monotonic clock in ms, which all processes of one boot share
//                 bell                rewritten after each change of the run's record, so that watchers wake
//                 control/cancel  control/stop  control/preempt     requests to the supervisor: the file exists
#pragma once

#include <string>
#include <string_view>

#include "core/run_id.h"

namespace trainyard {

class RunLayout {
 public:
  explicit RunLayout(std::string root) : root_(std::move(root)) {}
  const std::string &Root() const { return root_; }
  std::string JobJson() const { return root_ + "/job.json"; }
  std::string Code() const { return root_ + "/code"; }
  std::string CodeOutputs() const { return root_ + "/code/outputs"; }  // while it runs
  std::string CodeLogs() const { return root_ + "/code/logs"; }
  std::string Outputs() const { return root_ + "/outputs"; }  // afterwards
  std::string Logs() const { return root_ + "/logs"; }
  std::string UserLogs() const { return root_ + "/user_logs"; }
  std::string StdLog(int rank, int rank_count) const { return UserLogs() + "/" + StdLogName(rank, rank_count); }
  std::string SystemLogs() const { return root_ + "/system_logs"; }
  std::string RunnerLog() const { return root_ + "/system_logs/runner.log"; }
  // Where a training rank leaves {"code", "message"} of its failure.
  std::string RankError(int rank) const { return SystemLogs() + "/error_" + std::to_string(rank) + ".json"; }
  std::string EnvironmentBuildLog() const { return root_ + "/system_logs/environment_build.log"; }
  std::string Journal() const { return root_ + "/journal"; }
  std::string JournalLock() const { return root_ + "/journal.lock"; }
  std::string Images() const { return root_ + "/images"; }
  std::string Inputs() const { return root_ + "/inputs"; }
  std::string Lock() const { return root_ + "/lock"; }
  std::string Heartbeat() const { return root_ + "/heartbeat"; }
  std::string Bell() const { return root_ + "/bell"; }
  std::string Control() const { return root_ + "/control"; }
  std::string CancelFile() const { return root_ + "/control/cancel"; }
  std::string StopFile() const { return root_ + "/control/stop"; }
  std::string PreemptFile() const { return root_ + "/control/preempt"; }  // another run wants its place

 private:
  std::string root_;
};

// environments/<content hash>: one environment, made. Whoever makes it holds `<hash>.lock` exclusively, whoever uses it
// shared. Without `ready.json`, written last, it is torn, and made again.
class EnvironmentLayout {
 public:
  explicit EnvironmentLayout(std::string root) : root_(std::move(root)) {}
  const std::string &Root() const { return root_; }
  std::string Lock() const { return root_ + ".lock"; }
  std::string Ready() const { return root_ + "/ready.json"; }             // how ranks use it
  std::string Definition() const { return root_ + "/environment.json"; }  // what was asked for
  std::string Resolved() const { return root_ + "/resolved.json"; }       // the lock file: what is in it
  std::string BuildLog() const { return root_ + "/build.log"; }

 private:
  std::string root_;
};

class Layout {
 public:
  explicit Layout(std::string root) : root_(std::move(root)) {}
  const std::string &Root() const { return root_; }
  std::string Database() const { return root_ + "/trainyard.db"; }
  std::string Lock() const { return root_ + "/workspace.lock"; }
  std::string Objects() const { return root_ + "/objects"; }
  std::string Environments() const { return root_ + "/environments"; }
  // What URLs gave, by the SHA-256 of what arrived, shared by runs: <sha256>, and <sha256>.lock, held shared by who
  // uses it and exclusively by who makes or removes it; its time is that of the last use.
  std::string Downloads() const { return root_ + "/cache/downloads"; }
  std::string Unpacked() const { return root_ + "/cache/unpacked"; }
  EnvironmentLayout Environment(std::string_view hash) const {
    return EnvironmentLayout(Environments() + "/" + std::string(hash));
  }
  std::string Runs() const { return root_ + "/runs"; }
  RunLayout Run(std::string_view run_id) const { return RunLayout(root_ + "/runs/" + std::string(run_id)); }

 private:
  std::string root_;
};

}  // namespace trainyard
