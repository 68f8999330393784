// What the library promises to the program that uses it: nothing of the host is changed, whatever the host does with
// its children, signals and descriptors, and whatever happens to host or supervisor.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <clocale>
#include <csignal>
#include <map>
#include <set>

#include "capi/api.h"
#include "util/process.h"

extern char **environ;

namespace trainyard_test {
namespace {

// All of the process that a library could touch. Signal handlers by number, descriptors by what they refer to.
struct HostState {
  std::map<int, std::pair<void *, int>> signals;
  std::set<int> blocked;
  std::vector<std::string> environment;
  std::string directory, locale;
  mode_t mask = 0;
  bool has_children = false;
  std::map<int, std::string> descriptors;
  size_t threads = 0;
};

size_t CountEntries(const char *path) {
  size_t count = 0;
  for ([[maybe_unused]] const auto &entry : std::filesystem::directory_iterator(path)) ++count;
  return count;
}

HostState Look() {
  HostState state;
  for (int number = 1; number < SIGRTMAX; ++number) {
    struct sigaction action {};
    if (sigaction(number, nullptr, &action) != 0) continue;
    state.signals[number] = {reinterpret_cast<void *>(action.sa_handler), action.sa_flags};
  }
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  for (int number = 1; number < SIGRTMAX; ++number) {
    if (sigismember(&blocked, number) == 1) state.blocked.insert(number);
  }
  for (char **entry = environ; *entry != nullptr; ++entry) state.environment.emplace_back(*entry);
  state.directory = std::filesystem::current_path();
  state.locale = setlocale(LC_ALL, nullptr);
  state.mask = umask(0);
  umask(state.mask);
  siginfo_t info{};
  state.has_children = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
  DIR *listing = opendir("/proc/self/fd");
  const int own = dirfd(listing);
  for (const dirent *entry = readdir(listing); entry != nullptr; entry = readdir(listing)) {
    const std::string name = entry->d_name;
    if (name[0] == '.' || std::stoi(name) == own) continue;
    std::error_code ignored;
    state.descriptors[std::stoi(name)] = std::filesystem::read_symlink("/proc/self/fd/" + name, ignored).string();
  }
  closedir(listing);
  state.threads = CountEntries("/proc/self/task");
  return state;
}

void ExpectSame(const HostState &before, const HostState &now) {
  EXPECT_EQ(before.signals, now.signals);
  EXPECT_EQ(before.blocked, now.blocked);
  EXPECT_EQ(before.environment, now.environment);
  EXPECT_EQ(before.directory, now.directory);
  EXPECT_EQ(before.locale, now.locale);
  EXPECT_EQ(before.mask, now.mask);
  EXPECT_FALSE(now.has_children);
}

class HostTest : public ::testing::Test {
 protected:
  TempDirectory directory;
  Err err;
};

TEST_F(HostTest, NothingOfTheHostIsChanged) {
  const mode_t mask = umask(027);
  const HostState before = Look();
  const auto round = [&] {
    Workspace workspace;
    ASSERT_OK(ty_workspace_open((directory / "w").c_str(), workspace.out(), err));
    TyJob job;
    ASSERT_OK(ty_job_new_shell(nullptr, "echo hello; umask; echo x > outputs/x", job.out(), err));
    TyRun run;
    ASSERT_OK(ty_run_submit(workspace, "e", job, run.out(), err));
    ExpectSame(before, Look());
    EXPECT_OK(ty_run_log_metric(run, "m", 1, 0, err));
    Stream stream;
    ASSERT_OK(ty_run_events(run, nullptr, TY_EVENT_ALL, stream.out(), err));
    const ty_event *event = nullptr;
    while (ty_event_stream_next(stream, TY_WAIT_FOREVER, &event, err) == TY_OK) {
    }
    ty_run_state state = 0;
    EXPECT_OK(ty_run_wait(run, TY_WAIT_FOREVER, &state, err));
    EXPECT_EQ(state, TY_RUN_COMPLETED);
    Model model;
    EXPECT_OK(ty_run_register_model(run, "m", nullptr, nullptr, model.out(), err));
  };
  round();
  const HostState after = Look();
  ExpectSame(before, after);
  EXPECT_LE(after.threads, before.threads + 1) << "the watcher, once somebody follows a run";
  for (const auto &[fd, what] : after.descriptors) {
    if (before.descriptors.count(fd) != 0) continue;
    EXPECT_EQ(what.rfind("anon_inode:", 0), 0U) << fd << " -> " << what << " stayed open";
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << fd << " -> " << what << " would be inherited";
  }
  EXPECT_LE(after.descriptors.size(), before.descriptors.size() + 3);
  for (int i = 0; i < 3; ++i) round();
  const HostState later = Look();
  ExpectSame(before, later);
  EXPECT_EQ(later.threads, after.threads);
  EXPECT_EQ(later.descriptors, after.descriptors);
  umask(mask);
}

// Every descriptor of the library closes on exec: a child of the host inherits none.
TEST_F(HostTest, ChildrenOfTheHostInheritNothing) {
  Workspace workspace;
  ASSERT_OK(ty_workspace_open((directory / "w").c_str(), workspace.out(), err));
  TyJob job;
  ASSERT_OK(ty_job_new_shell(nullptr, "sleep 600", job.out(), err));
  TyRun run;
  ASSERT_OK(ty_run_submit(workspace, "e", job, run.out(), err));
  EXPECT_OK(ty_run_log_metric(run, "m", 1, 0, err));
  Stream stream;
  ASSERT_OK(ty_run_events(run, nullptr, TY_EVENT_ALL, stream.out(), err));
  for (const auto &[fd, what] : Look().descriptors) {
    if (what.find(directory.path()) == std::string::npos && what.rfind("anon_inode:", 0) != 0) continue;
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << fd << " -> " << what;
  }
  EXPECT_OK(ty_run_cancel(run, err));
  EXPECT_OK(ty_run_wait(run, TY_WAIT_FOREVER, nullptr, err));
}

class OddHost : public ::testing::TestWithParam<const char *> {};

TEST_P(OddHost, SubmitsAndWaits) {
  TempDirectory directory;
  const Output output = RunProgram({OTHER_PROCESS, "as-host", GetParam(), directory / "w"});
  EXPECT_EQ(output.status, 0);
  EXPECT_EQ(output.text, "Completed\nhello\n");
}

INSTANTIATE_TEST_SUITE_P(All, OddHost,
                         ::testing::Values("ignores-sigchld", "reaps", "has-no-descriptors", "blocks-signals",
                                           "has-children"),
                         [](const auto &info) {
                           std::string name = info.param;
                           name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
                           return name;
                         });

TEST_F(HostTest, ARunOutlivesAKilledHost) {
  const std::string line = "echo started; sleep 0.2; echo survived";
  RunProgram({OTHER_PROCESS, "submit-and-die", directory / "w", "orphan", line});
  const Output output = RunProgram({OTHER_PROCESS, "wait", directory / "w", "orphan"});
  EXPECT_EQ(output.text, "Completed\nstarted\nsurvived\n");
}

TEST_F(HostTest, AKilledSupervisorIsNoticed) {
  Workspace workspace;
  ASSERT_OK(ty_workspace_open((directory / "w").c_str(), workspace.out(), err));
  TyJob job;
  ASSERT_OK(ty_job_new_shell(nullptr, ("echo $$ > '" + (directory / "pid") + "'; sleep 600").c_str(), job.out(), err));
  TyRun run;
  ASSERT_OK(ty_run_submit(workspace, "e", job, run.out(), err));
  ASSERT_TRUE(Until([&] { return ReadAll(directory / "pid").find('\n') != std::string::npos; }));
  const pid_t rank = static_cast<pid_t>(std::stol(ReadAll(directory / "pid")));
  // The supervisor carries the run's id in its environment and is not the rank.
  int64_t supervisor = 0;
  for (const auto &process : trainyard::ListProcesses()) {
    const auto id = trainyard::ProcessVariable(process.pid, "TRAINYARD_SUPERVISOR_OF");
    if (id && *id == ty_run_id(run)) supervisor = process.pid;
  }
  if (supervisor == 0) supervisor = trainyard::GetProcess(rank)->parent;
  ASSERT_GT(supervisor, 1);
  ASSERT_EQ(kill(static_cast<pid_t>(supervisor), SIGKILL), 0);
  ty_run_state state = 0;
  EXPECT_OK(ty_run_wait(run, TY_WAIT_FOREVER, &state, err));
  EXPECT_EQ(state, TY_RUN_FAILED);
  FailureHandle failure;
  ASSERT_OK(ty_run_failure(run, failure.out(), err));
  EXPECT_STREQ(ty_error_detail(failure, "code"), "runner_died");
  EXPECT_TRUE(Until([&] { return kill(rank, 0) != 0; })) << "its rank was left behind";
}

TEST_F(HostTest, TheLibraryMayBeUnloaded) {
  EXPECT_EQ(RunProgram({LOAD_PROGRAM, TRAINYARD_LIBRARY}).text, "loaded\n");
}

TEST_F(HostTest, TheLibraryMayBeUnloadedAfterItHadAThread) {
  {
    Workspace workspace;
    ASSERT_OK(ty_workspace_open((directory / "w").c_str(), workspace.out(), err));
    TyJob job;
    ASSERT_OK(ty_job_new_shell(nullptr, "true", job.out(), err));
    TyRun run;
    ASSERT_OK(ty_run_submit(workspace, "e", job, run.out(), err));
    ASSERT_OK(ty_run_wait(run, TY_WAIT_FOREVER, nullptr, err));
  }
  const Output output = RunProgram({LOAD_PROGRAM, TRAINYARD_LIBRARY, directory / "w"});
  EXPECT_EQ(output.text, "loaded\n");
  EXPECT_EQ(output.status, 0);
}

}  // namespace
}  // namespace trainyard_test
