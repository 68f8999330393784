// The launcher: given nodes, processes and a command, start the ranks, report their exits in the order they happened,
// end the whole process tree. Every launcher gives its ranks the same environment contract (RankVariables). Thread
// rule: a Launcher belongs to the thread that made it; that thread must live as long as the ranks do.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "util/process.h"

namespace trainyard {

struct LaunchNode {
  std::string name;
  std::string address;
  int32_t process_count = 1;
  std::map<std::string, std::string> variables = {};  // of its ranks alone, such as which GPUs are theirs
  // In front of the command of its ranks, as it is: a container engine's "run ..." that executes the rest inside.
  std::vector<std::string> wrapper = {};
};

// For the launcher "mpi".
struct MpiOptions {
  std::string hostfile;              // of mpirun, absolute; empty = all ranks on this machine
  std::string rsh_agent;             // the program that starts mpirun's daemons on other hosts; empty = ssh
  std::vector<std::string> options;  // more arguments of mpirun, such as "--mca", "btl", "tcp,self"
};

struct LaunchRequest {
  std::string run_id;
  std::vector<LaunchNode> nodes;
  std::vector<std::string> command;  // argv; a program without '/' is searched in the ranks' PATH
  size_t expand_from = SIZE_MAX;     // from this argument on, $NAME becomes the rank's variable (launch/expand.h)
  std::string working_directory;
  std::map<std::string, std::string> variables;  // on top of the environment of this process
  std::vector<std::string> unset;                // names that ranks must not inherit
  std::string log_directory;                     // gets std_log.txt, or std_log_<rank>.txt of each rank
  std::string system_log_directory;              // gets what a launcher's own helpers print; empty = log_directory
  std::string master_address = "127.0.0.1";
  int32_t master_port = 6105;
  size_t tail_lines = 50;  // of each rank's standard error, kept as evidence
  MpiOptions mpi;
  // The program whose subcommands are the agents of launchers that need some (launch/agent.h).
  std::string runner = "/proc/self/exe";
  // Looked at while Start waits for somebody else; true ends it with Error kCanceled.
  std::function<bool()> canceled;
};

// How one rank ended.
struct RankExit {
  int32_t rank = 0;
  std::string node;
  int64_t order = 0;                 // 0 = ended first
  std::optional<int32_t> exit_code;  // unset = ended by `signal`
  int32_t signal = 0;
  bool after_kill = false;     // ended when the launcher was already ending all: no evidence
  bool out_of_memory = false;  // by the kernel, for want of memory
  bool node_lost = false;      // with its whole node: whoever supervised it there is gone
  std::string stderr_tail;     // its last lines; of those written before the kill when `after_kill`

  bool failed() const { return !exit_code || *exit_code != 0; }
};

class Launcher {
 public:
  virtual ~Launcher() = default;

  // Returns when every rank runs its program. Throws when one cannot start; what was started is ended by Kill.
  virtual void Start(const LaunchRequest &request) = 0;
  // Readable when TakeExit may have something new; take until it gives nothing.
  virtual int descriptor() const = 0;
  virtual std::optional<RankExit> TakeExit() = 0;
  virtual int32_t live_ranks() const = 0;
  // What the rank wrote to standard error last, as far as that is known here while it lives.
  virtual std::string StderrTail(int32_t rank) const = 0;
  // To the main process of each living rank, or to its whole process group (a shell passes no signals on).
  virtual void SignalRanks(int signal, bool whole_group) = 0;
  // From now on exits are marked `after_kill`; ends everything the ranks have started, however it detached itself.
  virtual KillReport Kill(std::chrono::milliseconds grace) = 0;
  // What runs now, for sampling.
  virtual std::vector<ProcessInfo> Processes() const = 0;
};

struct LauncherRow {
  std::string_view name;
  std::unique_ptr<Launcher> (*make)();
};
std::span<const LauncherRow> Launchers();
// Throws Error kUnsupported that lists the known ones.
std::unique_ptr<Launcher> MakeLauncher(std::string_view name);

int32_t WorldSize(const LaunchRequest &request);
// The first rank of a node: ranks are numbered node by node.
int32_t FirstRank(const LaunchRequest &request, int32_t node_rank);
// What every rank finds, whoever starts it: RANK, LOCAL_RANK, NODE_RANK, GROUP_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE,
// MASTER_ADDR, MASTER_PORT, and Azure ML's names for the same.
std::map<std::string, std::string> RankVariables(const LaunchRequest &request, int32_t node_rank, int32_t local_rank);

// Names that say "this process belongs to run X" (see FindProcessTree). Ranks carry the first, supervisors the second.
inline constexpr char kRunIdVariable[] = "TRAINYARD_RUN_ID";
inline constexpr char kSupervisorVariable[] = "TRAINYARD_SUPERVISOR_OF";
// Everything a rank finds in its environment because it is a rank. A run that is submitted from inside another run's
// rank must not inherit any of it; for DetachedCommand::unset.
std::vector<std::string> RankVariableNames();
ProcessTreeQuery RunTreeQuery(const std::string &run_id, int64_t root);

}  // namespace trainyard
