#include "runner/git_status.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "launch/local/rank_process.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"
#include "util/process.h"

namespace trainyard {

GitStatus::GitStatus(const std::string &directory, int64_t time_limit_ms)
    : deadline_ms_(MonotonicMs() + time_limit_ms) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  output_.Reset(ends[0]);
  const UniqueFd write_end(ends[1]);
  RankCommand git;
  // No program of the repository's own choice is to run.
  git.command = {"git", "-c", "core.fsmonitor=false", "status", "--porcelain", "--untracked-files=normal"};
  git.working_directory = directory;
  // Without what a hook of another repository may have set, and without taking locks of this one.
  git.environment = ChildEnvironment({{"GIT_OPTIONAL_LOCKS", "0"}}, {"GIT_*"});
  git.log_fd = write_end.get();
  git.stderr_fd = STDERR_FILENO;
  try {
    pid_ = StartRankProcess(git);
  } catch (const Error &error) {
    Log(LogLevel::kDebug, std::string("git is not asked: ") + error.what());
  }
}

GitStatus::~GitStatus() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  Collect(false);
}

// The first line of output is answer enough.
std::optional<bool> GitStatus::Collect(bool has_output) {
  if (has_output) kill(pid_, SIGKILL);
  const std::optional<int> exit_code = CollectProcess(pid_, /*wait=*/true);
  pid_ = 0;
  if (has_output) return true;
  return exit_code == 0 ? std::optional<bool>(false) : std::nullopt;
}

std::optional<bool> GitStatus::Wait() {
  if (pid_ <= 0) return std::nullopt;
  for (;;) {
    const int64_t left = std::max<int64_t>(0, deadline_ms_ - MonotonicMs());
    pollfd entry{output_.get(), POLLIN, 0};
    const int ready = poll(&entry, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      Log(LogLevel::kInfo, "git did not say in time whether the source has changes that are not committed");
      kill(pid_, SIGKILL);
      Collect(false);
      return std::nullopt;
    }
    char byte = 0;
    const ssize_t count = read(output_.get(), &byte, 1);
    if (count < 0 && errno == EINTR) continue;
    return Collect(count > 0);
  }
}

}  // namespace trainyard
