// Starting one rank as a child process. Thread rule: see StartRankProcess.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace trainyard {

struct RankCommand {
  std::vector<std::string> command;
  std::string working_directory;
  std::vector<std::string> environment;  // "NAME=value", complete
  int input_fd = -1;                     // becomes standard input; -1 = /dev/null
  int log_fd = -1;                       // becomes standard output
  int stderr_fd = -1;                    // becomes standard error
};

// A rank takes three descriptors of its supervisor, and a process may often have no more than 1024: from now on as many
// as the system allows. Ranks keep the limit that was (programs that use select() rely on it).
void RaiseFileLimit();

// Starts the program in a session of its own, with default signal dispositions, an empty signal mask and descriptors 0
// to 2 only; it is killed when the calling thread ends. Returns once the program runs; throws Error kRuntime when it
// cannot, saying why. Call it from a thread that lives as long as the rank may.
pid_t StartRankProcess(const RankCommand &command);

// How a child of this process ended: its exit code, or 128 + the signal that ended it. Nothing: it runs yet, which
// `wait` excludes.
std::optional<int> CollectProcess(pid_t pid, bool wait);

}  // namespace trainyard
