// SpawnDetached and its other side (process.h).
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "util/boot.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/process.h"

extern char **environ;

namespace trainyard {
namespace {

// Descriptors of ours stay clear of the numbers the child gets, also in a host that runs with 0, 1 and 2 closed.
constexpr int kFirstFreeFd = 10;
constexpr int kResultFd = 3;

UniqueFd MoveUp(UniqueFd fd, const char *what) {
  if (fd.get() >= kFirstFreeFd) return fd;
  const int moved = fcntl(fd.get(), F_DUPFD_CLOEXEC, kFirstFreeFd);
  if (moved < 0) throw Error::FromErrno(errno, "duplicate", what);
  return UniqueFd(moved);
}

// Memory behind a descriptor: unlike a pipe it can neither block the host nor raise SIGPIPE in it, and unlike a file it
// has no name and reaches no disk.
UniqueFd MakeInput(const std::string &input) {
  UniqueFd fd(memfd_create("trainyard-input", MFD_CLOEXEC));
  if (!fd.valid()) throw Error::FromErrno(errno, "make", "memory file for the runner's input");
  WriteAll(fd.get(), input.data(), input.size(), "the runner's input");
  if (lseek(fd.get(), 0, SEEK_SET) != 0) throw Error::FromErrno(errno, "rewind", "the runner's input");
  return MoveUp(std::move(fd), "the runner's input");
}

bool Matches(std::string_view name, std::string_view pattern) {
  if (!pattern.empty() && pattern.back() == '*') return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return name == pattern;
}

std::vector<char *> Pointers(std::vector<std::string> &texts) {
  std::vector<char *> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string &text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Owns the attributes and file actions of one posix_spawn.
class SpawnPlan {
 public:
  SpawnPlan(int input, int result) {
    Check(posix_spawnattr_init(&attributes_));
    Check(posix_spawn_file_actions_init(&actions_));
    sigset_t signals;
    sigfillset(&signals);
    Check(posix_spawnattr_setsigdefault(&attributes_, &signals));
    sigemptyset(&signals);
    Check(posix_spawnattr_setsigmask(&attributes_, &signals));
    Check(posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID));
    Check(posix_spawn_file_actions_adddup2(&actions_, input, STDIN_FILENO));
    Check(posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0));
    // What the dynamic loader has to say before main() reaches the host as the error.
    Check(posix_spawn_file_actions_adddup2(&actions_, result, STDERR_FILENO));
    Check(posix_spawn_file_actions_adddup2(&actions_, result, kResultFd));
    Check(posix_spawn_file_actions_addclosefrom_np(&actions_, kResultFd + 1));
  }
  SpawnPlan(const SpawnPlan &) = delete;
  SpawnPlan &operator=(const SpawnPlan &) = delete;
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  const posix_spawnattr_t *attributes() const { return &attributes_; }
  const posix_spawn_file_actions_t *actions() const { return &actions_; }

 private:
  static void Check(int number) {
    if (number != 0) throw Error::FromErrno(number, "prepare", "the start of the runner");
  }
  posix_spawnattr_t attributes_;
  posix_spawn_file_actions_t actions_;
};

// One line, or everything up to the end when there is no line.
std::string ReadResult(int fd, std::chrono::milliseconds timeout) {
  std::string text;
  const int64_t deadline = MonotonicMs() + timeout.count();
  for (;;) {
    const int64_t left = deadline - MonotonicMs();
    if (left <= 0) return text.empty() ? "error it did not answer in time" : text;
    pollfd entry{fd, POLLIN, 0};
    const int ready = poll(&entry, 1, static_cast<int>(std::min<int64_t>(left, INT_MAX)));
    if (ready <= 0) continue;
    char buffer[4096];
    const ssize_t count = read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer, static_cast<size_t>(count));
    const bool answer = text.starts_with("ok ") || text.starts_with("error ");
    if (answer && text.find('\n') != std::string::npos) return text;
  }
}

// The intermediate process ends as soon as it has forked. Somebody else may have collected it: ECHILD.
void Collect(pid_t pid) {
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::string OneLine(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  for (char &c : text) {
    if (c == '\n') c = ' ';
  }
  return text;
}

}  // namespace

std::vector<std::string> ChildEnvironment(const std::map<std::string, std::string> &variables,
                                          const std::vector<std::string> &unset) {
  std::vector<std::string> entries;
  for (char **entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    bool keep = variables.find(std::string(name)) == variables.end();
    for (const std::string &pattern : unset) keep = keep && !Matches(name, pattern);
    if (keep) entries.emplace_back(text);
  }
  for (const auto &[name, value] : variables) entries.push_back(name + "=" + value);
  return entries;
}

DetachedProcess SpawnDetached(const DetachedCommand &command) {
  const UniqueFd input = MakeInput(command.input);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Error::FromErrno(errno, "make", "pipe to the runner");
  UniqueFd result_read(ends[0]);
  UniqueFd result_write = MoveUp(UniqueFd(ends[1]), "pipe to the runner");
  result_read = MoveUp(std::move(result_read), "pipe to the runner");

  std::vector<std::string> arguments = {command.program};
  arguments.insert(arguments.end(), command.arguments.begin(), command.arguments.end());
  arguments.insert(arguments.end(), {"--result-fd", std::to_string(kResultFd)});
  std::vector<std::string> environment = ChildEnvironment(command.variables, command.unset);
  const std::vector<char *> argument_pointers = Pointers(arguments);
  const std::vector<char *> environment_pointers = Pointers(environment);

  pid_t pid = 0;
  {
    const SpawnPlan plan(input.get(), result_write.get());
    const int number = posix_spawn(&pid, command.program.c_str(), plan.actions(), plan.attributes(),
                                   argument_pointers.data(), environment_pointers.data());
    if (number != 0) {
      throw Error(Status::kRuntime, std::string("cannot start '") + command.program + "': " + std::strerror(number),
                  {{"path", command.program}});
    }
  }
  result_write.Reset();
  const std::string result = ReadResult(result_read.get(), command.timeout);
  if (!result.starts_with("ok ")) {
    // Without an answer the process may hang where it is; it must not go on behind a submit that failed.
    if (result == "error it did not answer in time") kill(-pid, SIGKILL);
    Collect(pid);
    std::string reason = OneLine(result.starts_with("error ") ? result.substr(6) : result);
    if (reason.empty()) reason = "it ended without an answer";
    throw Error(Status::kRuntime, "'" + command.program + "' did not start the run: " + reason,
                {{"path", command.program}});
  }
  Collect(pid);
  DetachedProcess process;
  char *end = nullptr;
  process.pid = std::strtoll(result.c_str() + 3, &end, 10);
  process.start_time = std::strtoll(end, nullptr, 10);
  return process;
}

void DetachFromParent() {
  const pid_t pid = fork();
  if (pid < 0) throw Error::FromErrno(errno, "fork", "runner");
  if (pid > 0) _exit(0);
}

void ReportDetached(int result_fd) {
  const std::string line = "ok " + std::to_string(getpid()) + " " + std::to_string(ProcessStartTime(getpid())) + "\n";
  // The host may be gone already: SIGPIPE is ignored by the runner, and its run goes on without it.
  [[maybe_unused]] const ssize_t count = write(result_fd, line.data(), line.size());
  close(result_fd);
}

void ReportDetachedError(int result_fd, const std::string &message) {
  const std::string line = "error " + OneLine(message) + "\n";
  [[maybe_unused]] const ssize_t count = write(result_fd, line.data(), line.size());
  close(result_fd);
}

}  // namespace trainyard
