// Ranks as child processes of this one. Each rank is a session of its own; standard input is /dev/null; standard output
// is the rank's log file itself, so that no supervisor stands between a print and the file; standard error comes
// through a pipe, is appended to the same file at once, and its last lines are kept as evidence.
//
// A thread of the launcher empties the pipes and collects the exits, so that neither waits for whatever else the
// supervisor is doing. Thread rule: see launcher.h.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "launch/launcher.h"
#include "launch/line_tail.h"
#include "launch/oom.h"
#include "util/fs.h"

namespace trainyard {

class LocalLauncher : public Launcher {
 public:
  // Which ranks of a request are started here.
  struct Share {
    int32_t node_rank = 0;
    int32_t first_local_rank = 0;
    int32_t count = 0;                             // 0 = all of the node's
    std::map<std::string, std::string> variables;  // of these ranks alone, over all others
  };
  // Of a request with one node.
  LocalLauncher();
  // For an agent: some ranks of a run whose other ranks run elsewhere. Kill ends only what this process has started.
  explicit LocalLauncher(Share share);
  ~LocalLauncher() override;

  void Start(const LaunchRequest &request) override;
  int descriptor() const override { return exits_event_.get(); }
  std::optional<RankExit> TakeExit() override;
  int32_t live_ranks() const override;
  std::string StderrTail(int32_t rank) const override;
  void SignalRanks(int signal, bool whole_group) override;
  KillReport Kill(std::chrono::milliseconds grace) override;
  std::vector<ProcessInfo> Processes() const override;

  // From now on exits are marked `after_kill`, and what ranks write is no evidence. Part of Kill.
  void Freeze();

 private:
  struct Rank;
  LocalLauncher(Share share, bool whole_run);
  enum Kind : uint64_t { kExit = 0, kStderr = 1 };
  static uint64_t Token(const Rank &rank, Kind kind);

  void StartRank(const LaunchRequest &request, int32_t local_rank, int32_t world_size);
  void Watch(int fd, uint64_t token);
  void StopPump();
  void Pump();
  void DrainStderr(Rank *rank);
  void CollectRank(Rank *rank);
  void CollectOrphans();

  const Share share_;
  const bool whole_run_;
  std::string run_id_;
  UniqueFd exits_event_, wake_event_, epoll_;
  std::thread pump_;
  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;                  // all below
  std::vector<std::unique_ptr<Rank>> ranks_;  // does not change once the pump runs
  std::deque<RankExit> exits_;
  int64_t next_order_ = 0;
  bool killing_ = false;
  OomWatch oom_watch_;
};

std::unique_ptr<Launcher> MakeLocalLauncher();

}  // namespace trainyard
