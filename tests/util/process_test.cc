#include "util/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "util/boot.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/random.h"

namespace trainyard {
namespace {

// A shell command as a child of this process; killed at the end with what it has started, and collected.
class Child {
 public:
  explicit Child(const std::string &line, const std::string &variable = "") {
    pid_ = fork();
    if (pid_ == 0) {
      setpgid(0, 0);
      if (!variable.empty()) putenv(const_cast<char *>(variable.c_str()));
      execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
      _exit(127);
    }
    setpgid(pid_, pid_);  // whoever of the two comes first
  }
  ~Child() {
    if (pid_ > 0) kill(-pid_, SIGKILL);
    Wait();
  }
  void Wait() {
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

bool Contains(const std::vector<ProcessInfo> &list, int64_t pid) {
  return std::any_of(list.begin(), list.end(), [&](const ProcessInfo &info) { return info.pid == pid; });
}

// Until a file that a child writes has come.
std::string AwaitFile(const std::string &path) {
  for (;;) {
    const auto text = ReadFileIfExists(path);
    if (text && !text->empty() && text->back() == '\n') return text->substr(0, text->size() - 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST(ProcessTest, TellsProcessesApartByStartAndBoot) {
  const auto self = GetProcess(getpid());
  ASSERT_TRUE(self);
  EXPECT_EQ(self->parent, getppid());
  EXPECT_EQ(self->start_time, ProcessStartTime(getpid()));
  EXPECT_GT(self->resident_bytes, 100000u);
  EXPECT_TRUE(IsProcessAlive(getpid(), self->start_time, BootId()));
  EXPECT_TRUE(IsProcessAlive(getpid(), self->start_time, ""));
  EXPECT_FALSE(IsProcessAlive(getpid(), self->start_time + 1, BootId()));
  EXPECT_FALSE(IsProcessAlive(getpid(), self->start_time, "another boot"));
  EXPECT_FALSE(IsProcessAlive(0, 0, ""));
}

TEST(ProcessTest, ZombieIsNotAlive) {
  Child child("exit 0");
  const int64_t start = ProcessStartTime(child.pid());
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(IsProcessAlive(child.pid(), start, ""));
}

TEST(ProcessTest, SignalsOnlyTheVeryProcess) {
  Child child("sleep 60");
  const int64_t start = ProcessStartTime(child.pid());
  EXPECT_FALSE(SignalProcess(child.pid(), start + 1, SIGKILL));
  EXPECT_TRUE(IsProcessAlive(child.pid(), start, ""));
  EXPECT_TRUE(SignalProcess(child.pid(), start, SIGKILL));
}

TEST(ProcessTest, FindsDetachedGrandchildrenByVariableAndKillsThem) {
  const TempDir directory;
  const std::string value = RandomBase32(12);
  const std::string pid_file = directory.path() + "/pid";
  Child child("setsid sh -c 'trap \"\" TERM; echo $$ > " + pid_file + "; while :; do sleep 1; done' & wait",
              "TRAINYARD_TEST_MARK=" + value);
  const int64_t grandchild = std::stoll(AwaitFile(pid_file));
  const ProcessTreeQuery query{0, "TRAINYARD_TEST_MARK", value, ""};
  const auto found = FindProcessTree(query);
  EXPECT_TRUE(Contains(found, child.pid()));
  EXPECT_TRUE(Contains(found, grandchild));
  EXPECT_EQ(ProcessVariable(grandchild, "TRAINYARD_TEST_MARK"), value);

  // The grandchild ignores SIGTERM: only the SIGKILL after the grace ends it.
  const KillReport report =
      KillProcesses([&] { return FindProcessTree(query); }, std::chrono::milliseconds(30), std::chrono::seconds(60));
  EXPECT_TRUE(report.left.empty());
  EXPECT_GE(report.ended, 2);
  EXPECT_TRUE(FindProcessTree(query).empty());
}

TEST(ProcessTest, ProcessesMarkedAsAnothersAreLeftOut) {
  const TempDir directory;
  const std::string outer = RandomBase32(12);
  const std::string pid_file = directory.path() + "/pid";
  Child child("TRAINYARD_TEST_MARK=other sh -c 'sleep 60 & echo $! > " + pid_file + "; wait' & sleep 60",
              "TRAINYARD_TEST_MARK=" + outer);
  const int64_t foreign = std::stoll(AwaitFile(pid_file));
  const auto found = FindProcessTree({getpid(), "TRAINYARD_TEST_MARK", outer, ""});
  EXPECT_TRUE(Contains(found, child.pid()));
  EXPECT_FALSE(Contains(found, foreign));
  SignalProcess(foreign, ProcessStartTime(foreign), SIGKILL);
}

TEST(ProcessTest, NamesSignals) {
  EXPECT_EQ(SignalName(SIGKILL), "SIGKILL");
  EXPECT_EQ(SignalName(SIGSEGV), "SIGSEGV");
  EXPECT_EQ(SignalName(999), "signal 999");
}

// A runner in shell: puts itself in the background and answers on descriptor 3.
DetachedCommand ShellRunner(const std::string &body) {
  DetachedCommand command;
  command.program = "/bin/sh";
  command.arguments = {"-c", "(" + body + ") & exit 0", "sh"};
  command.timeout = std::chrono::seconds(60);
  return command;
}

TEST(SpawnTest, PassesInputAndVariablesAndAnswers) {
  const TempDir directory;
  const std::string out = directory.path() + "/out";
  DetachedCommand command = ShellRunner(
      "read line <&0; echo \"$line $TRAINYARD_TEST_A ${TRAINYARD_TEST_B-none} $(ls /proc/self/fd | wc -l)\" > " + out +
      "; echo 'ok 123 456' >&3");
  command.arguments[1] = "exec 4<&0; (exec 0<&4 4<&-; " + command.arguments[1].substr(1);
  command.variables = {{"TRAINYARD_TEST_A", "a"}};
  command.unset = {"TRAINYARD_TEST_B*"};
  command.input = "hello\n";
  setenv("TRAINYARD_TEST_B2", "x", 1);
  setenv("TRAINYARD_TEST_B", "x", 1);
  const DetachedProcess process = SpawnDetached(command);
  EXPECT_EQ(process.pid, 123);
  EXPECT_EQ(process.start_time, 456);
  EXPECT_EQ(AwaitFile(out).substr(0, 12), "hello a none");
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);  // no child is left
  EXPECT_EQ(errno, ECHILD);
}

TEST(SpawnTest, ErrorsCarryTheReason) {
  auto reason = [](const DetachedCommand &command) -> std::string {
    try {
      SpawnDetached(command);
    } catch (const Error &error) {
      EXPECT_EQ(error.status(), Status::kRuntime);
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(reason(ShellRunner("echo 'error no such run' >&3")), testing::HasSubstr("no such run"));
  EXPECT_THAT(reason(ShellRunner("echo 'libx.so: cannot open shared object file' >&2")),
              testing::HasSubstr("libx.so: cannot open shared object file"));
  EXPECT_THAT(reason(ShellRunner(":")), testing::HasSubstr("ended without an answer"));
  DetachedCommand absent;
  absent.program = "/does/not/exist";
  EXPECT_THAT(reason(absent), testing::HasSubstr("cannot start '/does/not/exist': No such file"));
  DetachedCommand slow = ShellRunner("sleep 60");
  slow.timeout = std::chrono::milliseconds(50);
  EXPECT_THAT(reason(slow), testing::HasSubstr("did not answer in time"));
}

TEST(SpawnTest, HostThatIgnoresChildrenOrReapsAll) {
  const auto old_handler = signal(SIGCHLD, SIG_IGN);
  EXPECT_EQ(SpawnDetached(ShellRunner("echo 'ok 1 2' >&3")).pid, 1);
  signal(SIGCHLD, old_handler);

  std::atomic<bool> done{false};
  std::thread reaper([&] {
    while (!done) waitpid(-1, nullptr, WNOHANG);
  });
  for (int i = 0; i < 20; ++i) EXPECT_EQ(SpawnDetached(ShellRunner("echo 'ok 1 2' >&3")).pid, 1);
  done = true;
  reaper.join();
}

TEST(SpawnTest, ChildStartsWithDefaultSignals) {
  const TempDir directory;
  const std::string out = directory.path() + "/out";
  signal(SIGUSR1, SIG_IGN);
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &set, &old);
  SpawnDetached(ShellRunner("grep -E 'Sig(Blk|Ign)' /proc/self/status > " + out + ".part; echo >> " + out +
                            ".part; mv " + out + ".part " + out + "; echo 'ok 1 2' >&3"));
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  signal(SIGUSR1, SIG_DFL);
  const std::string text = AwaitFile(out);
  EXPECT_THAT(text, testing::HasSubstr("SigBlk:\t0000000000000000"));
  // A shell ignores SIGINT and SIGQUIT for what it puts in the background; 32 and 33 belong to the C library.
  const uint64_t ignored = std::stoull(text.substr(text.find("SigIgn:") + 8), nullptr, 16);
  EXPECT_EQ(ignored & ~uint64_t{0x180000006}, 0u);
}

}  // namespace
}  // namespace trainyard
