// trainyard-runner: what the library starts.
//   supervise <workspace> <run id>   one run from its submit to its final state; secrets as a JSON object on standard
//                                    input
//   train <workspace> <run id>       the training rank of a run
//   rank                             the agent of an MPI process, started by mpirun
//   node <name>                      the supervisor of a simulated node; its launcher is at standard input
//   validate <report>                what a training job would use; {"train", "weights_path"} on standard input
//   check-environment <workspace> <report>     what would keep an environment from being made here
//   build-environment <workspace> <directory> <host pid> <host start time>   makes one; log and report go there
//   unpack <archive> <name for messages>        into the working directory; an error goes to standard output as JSON
//   --version                        the build id
// All but train, rank, node and unpack put themselves in the background and answer on --result-fd (util/process.h).
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "launch/agent.h"
#include "launch/mpi/mpi_launcher.h"
#include "runner/environment/prepare_environment.h"
#include "runner/inputs/unpack.h"
#include "runner/supervise.h"
#include "runner/train_rank.h"
#include "util/build_id.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/process.h"
#include "util/text.h"

namespace trainyard {
namespace {

struct Arguments {
  std::vector<std::string> words;  // "supervise", ...
  std::string build_id;            // of the library that started us
  int result_fd = -1;
  uint64_t place = 0;  // in the queue
};

Arguments Parse(int argc, char **argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--result-fd" && i + 1 < argc) {
      arguments.result_fd = static_cast<int>(ParseInt64(argv[++i]).value_or(-1));
    } else if (word == "--place" && i + 1 < argc) {
      arguments.place = static_cast<uint64_t>(ParseInt64(argv[++i]).value_or(0));
    } else if (word == "--build-id" && i + 1 < argc) {
      arguments.build_id = argv[++i];
    } else {
      arguments.words.push_back(word);
    }
  }
  return arguments;
}

std::string ReadInput() {
  std::string text;
  char buffer[4096];
  ssize_t count = 0;
  while ((count = read(STDIN_FILENO, buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<size_t>(count));
  const UniqueFd null_fd = OpenFile("/dev/null", O_RDONLY);
  dup2(null_fd.get(), STDIN_FILENO);
  return text;
}

void CheckBuild(const std::string &build_id) {
  if (build_id.empty() || build_id == BuildId()) return;
  throw Error(Status::kVersion,
              std::string("the library is build ") + build_id + ", this runner is build " + BuildId() +
                  ": install both from one build, or point TRAINYARD_RUNTIME_DIR at the " + "matching one");
}

int RunSupervise(const Arguments &arguments) {
  SuperviseOptions options;
  options.workspace = AbsolutePath(arguments.words[1]);
  options.run_id = arguments.words[2];
  options.result_fd = arguments.result_fd;
  options.place = arguments.place;
  const std::string input = ReadInput();
  if (!input.empty()) options.secrets = Json::Parse(input, "secrets").AsStringMap();
  DetachFromParent();
  if (chdir("/") != 0) throw Error::FromErrno(errno, "enter", "/");
  return Supervise(options);
}

// Set before the host is answered: from then on it closes its end because it has what it wants, and the report is its.
std::atomic<bool> host_is_answered{false};

// Nobody else wants the report: when the host goes, so does this process, and the directory it was to leave it in.
void EndWithHost(int result_fd, const std::string &directory) {
  std::thread([result_fd, directory] {
    pollfd entry{result_fd, 0, 0};
    while (poll(&entry, 1, -1) < 0 && errno == EINTR) {
    }
    if ((entry.revents & POLLERR) == 0 || host_is_answered) return;
    if (BaseName(directory).starts_with("trainyard-validate")) RemoveTree(directory);
    _exit(1);
  }).detach();
}

int RunValidate(const Arguments &arguments) {
  const std::string input = ReadInput();
  DetachFromParent();
  EndWithHost(arguments.result_fd, ParentPath(arguments.words[1]));
  ValidateTraining(input, arguments.words[1]);
  host_is_answered = true;
  ReportDetached(arguments.result_fd);
  return 0;
}

int RunCheckEnvironment(const Arguments &arguments) {
  const std::string input = ReadInput();
  DetachFromParent();
  EndWithHost(arguments.result_fd, ParentPath(arguments.words[2]));
  CheckEnvironmentTask(input, arguments.words[1], arguments.words[2]);
  host_is_answered = true;
  ReportDetached(arguments.result_fd);
  return 0;
}

int RunBuildEnvironment(const Arguments &arguments) {
  const std::string input = ReadInput();
  DetachFromParent();
  ReportDetached(arguments.result_fd);
  return BuildEnvironmentTask(input, arguments.words[1], arguments.words[2], ParseInt64(arguments.words[3]).value_or(0),
                              ParseInt64(arguments.words[4]).value_or(0));
}

int Usage() {
  std::fputs(
      "usage: trainyard-runner supervise WORKSPACE RUN_ID | train WORKSPACE RUN_ID | node NAME | rank |\n"
      "       validate REPORT | check-environment WORKSPACE REPORT | build-environment WORKSPACE DIRECTORY PID "
      "START_TIME |\n"
      "       unpack ARCHIVE NAME | --version\n"
      "This program is started by libtrainyard.so; there is nothing to call by hand.\n",
      stderr);
  return 2;
}

int Main(int argc, char **argv) {
  const Arguments arguments = Parse(argc, argv);
  const std::string command = arguments.words.empty() ? "" : arguments.words[0];
  if (command == "--version" && arguments.words.size() == 1) {
    std::puts(BuildId());
    return 0;
  }
  const bool background = command == "supervise" || command == "validate" || command.ends_with("-environment");
  try {
    CheckBuild(arguments.build_id);
    if (background) {
      signal(SIGPIPE, SIG_IGN);  // the host may be gone when we answer
      mallopt(M_ARENA_MAX, 1);   // a waiting supervisor should be small
      if (arguments.result_fd >= 0) fcntl(arguments.result_fd, F_SETFD, FD_CLOEXEC);
    }
    if (command == "supervise" && arguments.words.size() == 3) return RunSupervise(arguments);
    if (command == "validate" && arguments.words.size() == 2) return RunValidate(arguments);
    if (command == "node" && arguments.words.size() == 2) return RunNodeAgent();
    if (command == "rank" && arguments.words.size() == 1) return RunMpiRank();
    if (command == "unpack" && arguments.words.size() == 3) return UnpackTask(arguments.words[1], arguments.words[2]);
    if (command == "check-environment" && arguments.words.size() == 3) return RunCheckEnvironment(arguments);
    if (command == "build-environment" && arguments.words.size() == 5) return RunBuildEnvironment(arguments);
    if (command == "train" && arguments.words.size() == 3) return TrainRank(arguments.words[1], arguments.words[2]);
  } catch (const std::exception &error) {
    if (background && arguments.result_fd >= 0) {
      ReportDetachedError(arguments.result_fd, error.what());
    } else {
      std::fprintf(stderr, "trainyard-runner: %s\n", error.what());
    }
    return 1;
  }
  return Usage();
}

}  // namespace
}  // namespace trainyard

int main(int argc, char **argv) {
  return trainyard::Main(argc, argv);
}
