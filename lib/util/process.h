// Processes: telling them apart, finding those that belong together, ending them, and starting one that outlives its
// starter. Nothing here changes signals, environment, threads or descriptors of the calling process. Durations are
// measured by the monotonic clock. Thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace trainyard {

// One line of /proc/<pid>/stat.
struct ProcessInfo {
  int64_t pid = 0;
  int64_t parent = 0;
  int64_t start_time = 0;  // clock ticks since boot: with the pid it names one process of this boot
  char state = '?';        // 'Z' and 'X' are dead
  uint64_t cpu_ticks = 0;  // user + system, of the process itself
  uint64_t resident_bytes = 0;
};

std::optional<ProcessInfo> GetProcess(int64_t pid);
std::vector<ProcessInfo> ListProcesses();

// Whether exactly that process still runs: same boot, same start, not a zombie. An empty `boot_id` is not compared.
bool IsProcessAlive(int64_t pid, int64_t start_time, const std::string &boot_id);

// A variable of the environment the process was started with; nullopt when unset or not readable by this user.
std::optional<std::string> ProcessVariable(int64_t pid, const std::string &name);

// Which processes belong together: all descendants of `root` (not `root` itself; 0 = none), and all processes started
// with `variable`=`value` in their environment, wherever they hang in the tree, with their descendants. A process that
// carries another value of `variable` or of `boundary_variable` belongs elsewhere, and so do its descendants.
struct ProcessTreeQuery {
  int64_t root = 0;
  std::string variable, value;
  std::string boundary_variable;
};
std::vector<ProcessInfo> FindProcessTree(const ProcessTreeQuery &query);
// Only by parents: cheap enough for sampling.
std::vector<ProcessInfo> FindDescendants(int64_t root, const std::vector<ProcessInfo> &all);

// A descriptor that becomes readable when the process ends; -1 with errno (ENOSYS on kernels before 5.3).
int OpenPidfd(int64_t pid);

// Sends a signal to exactly that process; false when it is gone.
bool SignalProcess(int64_t pid, int64_t start_time, int signal);

struct KillReport {
  int64_t ended = 0;              // processes seen that are gone now
  std::vector<ProcessInfo> left;  // still there: not ours to kill, or stuck in the kernel
};
// SIGTERM, then SIGKILL after `grace`, again and again until `find` answers nothing or `patience` after the grace is
// over. Processes started meanwhile are found and ended too.
KillReport KillProcesses(const std::function<std::vector<ProcessInfo>()> &find, std::chrono::milliseconds grace,
                         std::chrono::milliseconds patience = std::chrono::seconds(10));

// "SIGKILL"; "signal 77" for an unknown number.
std::string SignalName(int signal);

// "NAME=value" for a child: this process's environment without the names in `unset` (a '*' at the end matches any
// rest), and with `variables`.
std::vector<std::string> ChildEnvironment(const std::map<std::string, std::string> &variables,
                                          const std::vector<std::string> &unset);

struct DetachedProcess {
  int64_t pid = 0;
  int64_t start_time = 0;
};

struct DetachedCommand {
  std::string program;                           // absolute path
  std::vector<std::string> arguments;            // argv[1..]; "--result-fd 3" is appended
  std::map<std::string, std::string> variables;  // set on top of this process's environment
  std::vector<std::string> unset;                // removed from it; a '*' at the end matches any rest of the name
  std::string input;                             // what it reads from standard input, from memory
  std::chrono::milliseconds timeout = std::chrono::seconds(60);
};

// Starts a program that puts itself in the background (DetachFromParent below) and answers on descriptor 3 with one
// line, "ok <pid> <start time>" or "error <message>". It starts in a session of its own with default signal
// dispositions, an empty signal mask and descriptors 0 to 3 only. No child of the caller is left when this returns; a
// host that collects all its children itself, or ignores SIGCHLD, does not disturb it. Throws Error kRuntime.
DetachedProcess SpawnDetached(const DetachedCommand &command);

// The other side, called first thing in the spawned program: returns in the background process, which is nobody's
// child; the process that was spawned ends here.
void DetachFromParent();
// The line for the host; closes the descriptor.
void ReportDetached(int result_fd);
void ReportDetachedError(int result_fd, const std::string &message);

}  // namespace trainyard
