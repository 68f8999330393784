#include "runner/git_status.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

namespace trainyard {
namespace {

// Without what a hook of another repository may have set, and without taking locks of this one.
std::vector<std::string> GitEnvironment() {
  std::vector<std::string> environment;
  for (char **entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!text.starts_with("GIT_")) environment.push_back(text);
  }
  environment.emplace_back("GIT_OPTIONAL_LOCKS=0");
  return environment;
}

std::vector<char *> Pointers(std::vector<std::string> &texts) {
  std::vector<char *> pointers;
  for (std::string &text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

GitStatus::GitStatus(const std::string &directory, int64_t time_limit_ms)
    : deadline_ms_(MonotonicMs() + time_limit_ms) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  output_.Reset(ends[0]);
  const UniqueFd write_end(ends[1]);
  // No program of the repository's own choice is to run.
  std::vector<std::string> command = {
      "git", "-C", directory, "-c", "core.fsmonitor=false", "status", "--porcelain", "--untracked-files=normal"};
  std::vector<std::string> environment = GitEnvironment();
  posix_spawn_file_actions_t actions;
  if (posix_spawn_file_actions_init(&actions) != 0) return;
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
  const int number =
      posix_spawnp(&pid_, "git", &actions, nullptr, Pointers(command).data(), Pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  if (number != 0) pid_ = 0;  // there is no git
}

GitStatus::~GitStatus() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  Collect(false);
}

// The first line of output is answer enough.
std::optional<bool> GitStatus::Collect(bool has_output) {
  if (has_output) kill(pid_, SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  if (has_output) return true;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return false;
  return std::nullopt;
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
