#include "launch/local/rank_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "launch/expand.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

// As a shell would, with the PATH of the rank rather than of this process. Relative entries are relative to the rank's
// working directory.
std::string FindProgram(const RankCommand &command) {
  const std::string &name = command.command[0];
  if (name.find('/') != std::string::npos) return name;
  const char *own_path = FindVariable(command.environment, "PATH");
  std::string_view path = own_path == nullptr ? "" : own_path;
  if (path.empty()) path = "/usr/local/bin:/usr/bin:/bin";
  for (const std::string_view entry : Split(path, ':')) {
    std::string candidate = JoinPath(entry.empty() ? std::string_view(".") : entry, name);
    const std::string seen = candidate[0] == '/' ? candidate : JoinPath(command.working_directory, candidate);
    if (access(seen.c_str(), X_OK) == 0 && !IsDirectory(seen)) return candidate;
  }
  throw Error(Status::kRuntime, "cannot run '" + name + "': no such program in PATH (" + std::string(path) + ")");
}

std::vector<char *> Pointers(const std::vector<std::string> &texts) {
  std::vector<char *> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string &text : texts) pointers.push_back(const_cast<char *>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// What ranks get; nothing while it has not been changed. Set before there are threads.
std::optional<rlimit> file_limit_of_ranks;

// All that the child needs, made before the fork: after it only async-signal-safe calls are allowed.
struct ChildPlan {
  std::string program;
  std::vector<char *> arguments;
  std::vector<char *> shell_arguments;  // for a script without "#!", which the kernel does not run
  std::vector<char *> environment;
  const char *working_directory = nullptr;
  int input_fd = -1, log_fd = -1, stderr_fd = -1, error_fd = -1;
  pid_t parent = 0;
};

struct ChildError {
  int number = 0;
  int step = 0;  // 0 = program, 1 = working directory, 2 = descriptors
};

[[noreturn]] void Fail(const ChildPlan &plan, int step) {
  const ChildError error{errno, step};
  [[maybe_unused]] const ssize_t count = write(plan.error_fd, &error, sizeof error);
  _exit(127);
}

void ResetSignals() {
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// When memory runs out, the kernel should take a rank and leave the supervisor, which can say so.
void OfferToOomKiller() {
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  [[maybe_unused]] const ssize_t count = write(fd, "100", 3);
  close(fd);
}

[[noreturn]] void RunChild(const ChildPlan &plan) {
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != plan.parent) _exit(127);  // the supervisor died before the line above
  OfferToOomKiller();
  const int input_fd = plan.input_fd >= 0 ? plan.input_fd : open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (input_fd < 0 || dup2(input_fd, STDIN_FILENO) < 0) Fail(plan, 2);
  if (dup2(plan.log_fd, STDOUT_FILENO) < 0 || dup2(plan.stderr_fd, STDERR_FILENO) < 0) Fail(plan, 2);
  if (chdir(plan.working_directory) != 0) Fail(plan, 1);
  ResetSignals();
  if (file_limit_of_ranks) setrlimit(RLIMIT_NOFILE, &*file_limit_of_ranks);
  execve(plan.program.c_str(), plan.arguments.data(), plan.environment.data());
  if (errno == ENOEXEC) {
    execve("/bin/sh", plan.shell_arguments.data(), plan.environment.data());
    errno = ENOEXEC;
  }
  Fail(plan, 0);
}

}  // namespace

void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  const rlimit before = limit;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && !file_limit_of_ranks) file_limit_of_ranks = before;
}

pid_t StartRankProcess(const RankCommand &command) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Error::FromErrno(errno, "make", "pipe to a rank");
  const UniqueFd error_read(ends[0]);
  UniqueFd error_write(ends[1]);

  ChildPlan plan;
  plan.program = FindProgram(command);
  plan.arguments = Pointers(command.command);
  std::vector<std::string> shell_command = {"sh", plan.program};
  shell_command.insert(shell_command.end(), command.command.begin() + 1, command.command.end());
  plan.shell_arguments = Pointers(shell_command);
  plan.environment = Pointers(command.environment);
  plan.working_directory = command.working_directory.c_str();
  plan.input_fd = command.input_fd;
  plan.log_fd = command.log_fd;
  plan.stderr_fd = command.stderr_fd;
  plan.error_fd = error_write.get();
  plan.parent = getpid();

  const pid_t pid = fork();
  if (pid < 0) throw Error(Status::kRuntime, std::string("cannot start a rank: ") + std::strerror(errno));
  if (pid == 0) RunChild(plan);
  error_write.Reset();

  ChildError error;
  ssize_t count = 0;
  do {
    count = read(error_read.get(), &error, sizeof error);
  } while (count < 0 && errno == EINTR);
  if (count != static_cast<ssize_t>(sizeof error)) return pid;  // closed by exec
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  const std::array<const std::string *, 3> names = {&plan.program, &command.working_directory, &command.command[0]};
  const char *action = error.step == 1 ? "enter" : "run";
  throw Error(Status::kRuntime, std::string("cannot ") + action + " '" + *names[static_cast<size_t>(error.step)] +
                                    "': " + std::strerror(error.number));
}

std::optional<int> CollectProcess(pid_t pid, bool wait) {
  int status = 0;
  pid_t ended = 0;
  while ((ended = waitpid(pid, &status, wait ? 0 : WNOHANG)) < 0 && errno == EINTR) {
  }
  if (ended == 0) return std::nullopt;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace trainyard
