#include "runner/environment/build_tools.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "launch/launcher.h"
#include "launch/local/rank_process.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/process.h"
#include "util/text.h"
#include "util/url.h"

namespace trainyard {
namespace {

constexpr int kLookEveryMs = 100;
constexpr std::chrono::seconds kGrace{2};
constexpr size_t kMostOutput = 4 << 20;

UniqueFd OpenLog(const std::string &path) {
  if (path.empty()) return OpenFile("/dev/null", O_WRONLY);
  return OpenFile(path, O_RDWR | O_CREAT | O_APPEND);
}

uint64_t SizeOf(int fd) {
  const off_t size = lseek(fd, 0, SEEK_END);
  return size < 0 ? 0 : static_cast<uint64_t>(size);
}

std::string ReadFrom(int fd, uint64_t start) {
  const uint64_t end = SizeOf(fd);
  const uint64_t from = std::max(start, end > kMostOutput ? end - kMostOutput : 0);
  std::string text(end > from ? end - from : 0, '\0');
  text.resize(text.empty() ? 0 : ReadAt(fd, text.data(), text.size(), from, "a program's output"));
  return text;
}

// The variables of the tools: of a Python or a run that this process may be part of, they must know nothing.
std::map<std::string, std::string> ToolVariables(const std::string &marker, const BuildTools::Options &options) {
  std::map<std::string, std::string> variables = options.variables;
  variables[kRunIdVariable] = marker;
  variables.emplace("PIP_DISABLE_PIP_VERSION_CHECK", "1");
  variables.emplace("PIP_NO_INPUT", "1");
  return variables;
}

}  // namespace

std::string FindInPath(const std::string &program) {
  if (program.find('/') != std::string::npos) return access(program.c_str(), X_OK) == 0 ? program : "";
  const char *path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe)
  for (const std::string_view directory : Split(path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path, ':')) {
    const std::string candidate = JoinPath(directory.empty() ? "." : directory, program);
    if (access(candidate.c_str(), X_OK) == 0 && !IsDirectory(candidate)) return candidate;
  }
  return "";
}

BuildTools::BuildTools(std::string log, std::string marker, std::function<bool()> go_on)
    : log_(std::move(log)), marker_(std::move(marker)), go_on_(std::move(go_on)) {}

void BuildTools::Say(const std::string &line) const {
  if (!log_.empty()) AppendFile(log_, MaskUrls(line) + "\n");
}

BuildTools::Result BuildTools::Run(const std::vector<std::string> &command, const Options &options) {
  if (!go_on_()) throw Error(Status::kCanceled, "canceled while the run was prepared");
  if (!options.quiet) Say("$ " + Join(command, " "));
  const UniqueFd log = OpenLog(log_);
  const UniqueFd own(memfd_create("trainyard-output", MFD_CLOEXEC));
  const int output = options.quiet || log_.empty() ? own.get() : log.get();
  const uint64_t start = SizeOf(output);

  RankCommand child;
  child.command = command;
  child.working_directory = options.directory;
  child.environment = ChildEnvironment(ToolVariables(marker_, options),
                                       {kSupervisorVariable, "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "RANK",
                                        "LOCAL_RANK", "WORLD_SIZE", "PIP_TARGET", "PIP_PREFIX", "PIP_USER"});
  child.log_fd = output;
  child.stderr_fd = options.quiet ? log.get() : output;
  const pid_t pid = StartRankProcess(child);
  const UniqueFd pidfd(OpenPidfd(pid));
  std::optional<int> exit_code;
  while (!(exit_code = CollectProcess(pid, /*wait=*/false))) {
    if (!go_on_()) {
      KillProcesses(
          [&] {
            CollectProcess(pid, /*wait=*/false);
            return FindProcessTree(RunTreeQuery(marker_, 0));
          },
          kGrace);
      throw Error(Status::kCanceled, "canceled while the run was prepared");
    }
    pollfd entry{pidfd.get(), POLLIN, 0};
    poll(&entry, pidfd.valid() ? 1 : 0, pidfd.valid() ? kLookEveryMs : 10);
  }
  return {*exit_code, ReadFrom(output, start)};
}

}  // namespace trainyard
