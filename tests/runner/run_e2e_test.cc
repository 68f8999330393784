// Whole runs through the real trainyard-runner: how they end, and what is told about it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "drivers/local/settle.h"
#include "runner/run_fixture.h"
#include "util/boot.h"
#include "util/error.h"
#include "util/process.h"
#include "util/random.h"
#include "util/text.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

TEST_F(RunTest, CompletesWithOutputsAndMetrics) {
  const RunRecord run = Run(Shell("echo hello; pwd; echo x > outputs/x; echo y > logs/y; echo warning >&2"));
  EXPECT_EQ(run.state, RunState::kCompleted) << run.error.message;
  EXPECT_EQ(Log(run.id), "hello\n" + Paths(run.id).Code() + "\nwarning\n");
  EXPECT_EQ(ReadFile(Paths(run.id).Outputs() + "/x"), "x\n");
  EXPECT_EQ(ReadFile(Paths(run.id).Logs() + "/y"), "y\n");
  EXPECT_FALSE(PathExists(Paths(run.id).CodeOutputs()));
  EXPECT_GT(run.started_ms, 0);
  EXPECT_GE(run.ended_ms, run.started_ms);
  EXPECT_EQ(run.properties.at("trainyard.processes_left"), "0");
  EXPECT_THAT(driver_->ListMetrics(run.id),
              testing::Contains(testing::Field(&MetricSummary::name, "system/memory_bytes")));
  EXPECT_EQ(History(run.id),
            (std::vector<RunState>{RunState::kNotStarted, RunState::kStarting, RunState::kPreparing, RunState::kQueued,
                                   RunState::kRunning, RunState::kFinalizing, RunState::kCompleted}));
  EXPECT_TRUE(ListSegments(Paths(run.id).Journal()).empty());
}

TEST_F(RunTest, RanksGetTheEnvironmentContract) {
  Job job = Shell("env");
  job.variables = {{"MY_VARIABLE", "mine"}};
  setenv("OF_THE_HOST", "inherited", 1);
  const RunRecord run = Run(job);
  for (const std::string &line :
       {std::string("RANK=0"), std::string("WORLD_SIZE=1"), std::string("MASTER_ADDR=127.0.0.1"),
        "TRAINYARD_RUN_ID=" + run.id, "AZUREML_RUN_ID=" + run.id, "TRAINYARD_WORKSPACE=" + workspace_,
        std::string("TRAINYARD_EXPERIMENT=test"), "TRAINYARD_JOURNAL_DIR=" + Paths(run.id).Journal(),
        std::string("MY_VARIABLE=mine"), std::string("OF_THE_HOST=inherited")}) {
    EXPECT_THAT(Log(run.id), HasSubstr(line + "\n"));
  }
  EXPECT_THAT(Log(run.id), testing::Not(HasSubstr("TRAINYARD_SUPERVISOR_OF")));
}

TEST_F(RunTest, ExitCodeAndLastLinesAreTheError) {
  const RunRecord run =
      Run(Shell("i=0; while [ $i -lt 60 ]; do echo line $i >&2; i=$((i+1)); done; echo 'it broke' >&2; exit 7"));
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.code, "exit_code");
  EXPECT_EQ(run.error.exit_code, 7);
  EXPECT_EQ(run.error.rank, 0);
  EXPECT_EQ(run.error.node, HostName());
  EXPECT_THAT(run.error.message, HasSubstr("exit code 7: it broke"));
  const auto lines = Split(run.error.stderr_tail, '\n');
  EXPECT_EQ(lines.size(), 50u);
  EXPECT_EQ(lines.front(), "line 11");
  EXPECT_EQ(lines.back(), "it broke");
}

TEST_F(RunTest, SignalIsTheError) {
  const RunRecord run = Run(Shell("echo x > outputs/x; kill -SEGV $$"));
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.code, "signal");
  EXPECT_EQ(run.error.signal, "SIGSEGV");
  EXPECT_FALSE(run.error.exit_code);
  EXPECT_TRUE(PathExists(Paths(run.id).Outputs() + "/x"));
}

TEST_F(RunTest, SeveralRanksTheCulpritIsNamed) {
  Job job = Shell(
      "if [ $RANK = 2 ]; then sleep 0.1; echo 'ValueError: no such label' >&2; exit 3; fi; "
      "if [ $RANK = 0 ]; then echo 'Connection reset by peer' >&2; exit 1; fi; sleep 1000");
  job.distribution = Distribution::PyTorch(4, 1);
  const RunRecord run = Run(job);
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.rank, 2);
  EXPECT_EQ(run.error.exit_code, 3);
  EXPECT_EQ(ProcessesOf(run.id), 0u);
  EXPECT_EQ(ReadFile(Paths(run.id).StdLog(2, 4)), "ValueError: no such label\n");
}

TEST_F(RunTest, CancelEndsDetachedGrandchildren) {
  const std::string id =
      Submit(Shell("setsid sh -c 'trap \"\" TERM; setsid sleep 1000 & echo; wait; sleep 1000' & echo up; sleep 1000"));
  AwaitLog(id, "up");
  while (ProcessesOf(id) < 3) usleep(1000);
  driver_->Cancel(id);
  const RunRecord run = Finish(id);
  EXPECT_EQ(run.state, RunState::kCanceled);
  EXPECT_EQ(ProcessesOf(id), 0u);
  EXPECT_GE(std::stoi(run.properties.at("trainyard.processes_ended")), 3);
  EXPECT_EQ(run.properties.at("trainyard.processes_left"), "0");
  EXPECT_EQ(History(id).back(), RunState::kCanceled);
}

TEST_F(RunTest, LeftoversOfACompletedRunAreEnded) {
  const RunRecord run = Run(Shell("setsid sleep 1000 & exit 0"));
  EXPECT_EQ(run.state, RunState::kCompleted);
  EXPECT_EQ(ProcessesOf(run.id), 0u);
}

TEST_F(RunTest, RequestStopIsSigtermAndZeroIsWell) {
  const std::string id =
      Submit(Shell("trap 'echo kept > outputs/best; exit 0' TERM; echo up; while :; do sleep 0.01; done"));
  AwaitLog(id, "up");
  driver_->RequestStop(id);
  EXPECT_EQ(Finish(id).state, RunState::kCompleted);
  EXPECT_EQ(ReadFile(Paths(id).Outputs() + "/best"), "kept\n");
}

TEST_F(RunTest, TimeLimit) {
  Job job = Shell("echo started >&2; sleep 1000");
  job.resources.time_limit_ms = 300;
  const RunRecord run = Run(job);
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.code, "time_limit");
  EXPECT_EQ(ProcessesOf(run.id), 0u);
}

TEST_F(RunTest, Retries) {
  Job job = Shell("echo attempt $TRAINYARD_ATTEMPT; [ $TRAINYARD_ATTEMPT = 2 ] || exit 5");
  job.retries.maximum = 3;
  RunRecord run = Run(job);
  EXPECT_EQ(run.state, RunState::kCompleted);
  EXPECT_EQ(Log(run.id), "attempt 0\nattempt 1\nattempt 2\n");
  job.retries.never_on_exit_codes = {5};
  run = Run(job);
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(Log(run.id), "attempt 0\n");
}

TEST_F(RunTest, SecretsReachRanksAndNothingElse) {
  const std::string secret = "s3cr3t-" + RandomBase32(20);
  Job job = Shell("[ ${#API_KEY} = 27 ] || exit 9; echo \"bad key: $API_KEY\" >&2; exec 1>&- 2>&-; exit 3");
  job.secrets = {{"API_KEY", secret}};
  const RunRecord run = Run(job);
  EXPECT_EQ(run.error.exit_code, 3);
  EXPECT_THAT(run.error.stderr_tail, HasSubstr("bad key: ***"));
  EXPECT_THAT(run.error.message, testing::Not(HasSubstr(secret)));
  // What a rank prints is its own log; nothing else has it.
  driver_.reset();
  for (const std::string &path : ListTree(workspace_)) {
    if (path.find("user_logs/") != std::string::npos) continue;
    EXPECT_EQ(ReadFile(workspace_ + "/" + path).find(secret), std::string::npos) << path;
  }
  driver_ = OpenWorkspace(workspace_);
}

TEST_F(RunTest, HostThatReapsEverythingOrIgnoresSigchld) {
  std::atomic<bool> done{false};
  std::thread reaper([&] {
    while (!done) waitpid(-1, nullptr, WNOHANG);
  });
  EXPECT_EQ(Run(Shell("exit 4")).error.exit_code, 4);
  done = true;
  reaper.join();
  const auto old_handler = signal(SIGCHLD, SIG_IGN);
  EXPECT_EQ(Run(Shell("sh -c 'exit 5'; exit $?")).error.exit_code, 5);
  signal(SIGCHLD, old_handler);
}

TEST_F(RunTest, RunOutlivesAHostKilledRightAfterSubmit) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t host = fork();
  if (host == 0) {
    driver_.reset();
    const std::string id = OpenWorkspace(workspace_)->Submit("test", Shell("sleep 0.3; echo done")).id;
    if (write(ends[1], id.data(), id.size()) < 0) _exit(1);
    kill(getpid(), SIGKILL);
  }
  close(ends[1]);
  char id[128] = "";
  ASSERT_GT(read(ends[0], id, sizeof id - 1), 0);
  close(ends[0]);
  waitpid(host, nullptr, 0);
  EXPECT_EQ(Finish(id).state, RunState::kCompleted);
  EXPECT_EQ(Log(id), "done\n");
}

TEST_F(RunTest, KilledSupervisorIsSettledAndRanksAreGone) {
  const std::string id = Submit(Shell("echo x > outputs/x; setsid sleep 1000 & echo up; sleep 1000"));
  AwaitLog(id, "up");
  AwaitState(id, RunState::kRunning);
  const RunRecord before = driver_->GetRun(id);
  ASSERT_TRUE(IsProcessAlive(before.supervisor.pid, before.supervisor.start_time, before.supervisor.boot_id));
  ASSERT_TRUE(SignalProcess(before.supervisor.pid, before.supervisor.start_time, SIGKILL));
  const RunRecord run = Finish(id);
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.code, "runner_died");
  EXPECT_EQ(ProcessesOf(id), 0u);
  EXPECT_TRUE(PathExists(Paths(id).Outputs() + "/x"));
}

TEST_F(RunTest, CancelOfARunWhoseSupervisorDied) {
  const std::string id = Submit(Shell("echo up; sleep 1000"));
  AwaitState(id, RunState::kRunning);
  const RunRecord before = driver_->GetRun(id);
  Store store(workspace_);
  store.runs().Transition(id, RunState::kCancelRequested);
  SignalProcess(before.supervisor.pid, before.supervisor.start_time, SIGKILL);
  EXPECT_EQ(Finish(id).state, RunState::kCanceled);
}

// A run as a supervisor leaves it that dies without a last commit.
RunRecord Orphan(const std::string &id) {
  RunRecord run;
  run.id = id;
  run.experiment = "test";
  run.job_json = "{}";
  run.job_hash = "0";
  return run;
}

TEST_F(RunTest, LastWordsOfASupervisorThatCouldNotWriteTheRecord) {
  Store store(workspace_);
  const RunRecord run = Orphan("orphan_1_aaaaaaaaaa");
  store.runs().Create(run, {RunState::kStarting, RunState::kPreparing, RunState::kRunning});
  const Outcome outcome(Paths(run.id));
  RunState state = RunState::kStarting;
  RunError error;
  outcome.Reserve();
  EXPECT_FALSE(outcome.Read(&state, &error));
  error.code = "exit_code";
  error.exit_code = 6;
  error.stderr_tail = std::string(100000, 'x') + "\nlast words \xff";
  ASSERT_TRUE(outcome.Write(RunState::kFailed, error));
  EXPECT_TRUE(SettleIfDead(&store, run.id));
  const RunRecord settled = store.runs().Get(run.id);
  EXPECT_EQ(settled.state, RunState::kFailed);
  EXPECT_EQ(settled.error.code, "exit_code");
  EXPECT_EQ(settled.error.exit_code, 6);
  EXPECT_THAT(settled.error.stderr_tail, HasSubstr("last words"));
  EXPECT_FALSE(SettleIfDead(&store, run.id));
}

TEST_F(RunTest, ARunThatIsOnlyJustSubmittedIsLeftAlone) {
  Store store(workspace_);
  RunRecord run = Orphan("orphan_2_aaaaaaaaaa");
  run.submitter.pid = getpid();
  run.submitter.start_time = ProcessStartTime(getpid());
  run.submitter.boot_id = BootId();
  store.runs().Create(run, {RunState::kStarting});
  EXPECT_FALSE(SettleIfDead(&store, run.id));
  EXPECT_EQ(store.runs().State(run.id), RunState::kStarting);
  // A supervisor that had the lock, however briefly, has been and gone.
  WriteFileAtomic(Paths(run.id).Lock(), "1\n");
  EXPECT_TRUE(SettleIfDead(&store, run.id));
  EXPECT_EQ(store.runs().Get(run.id).error.code, "runner_died");
}

TEST_F(RunTest, SilentSupervisorIsNotRespondingUntilItMovesAgain) {
  const std::string id = Submit(Shell("echo up; sleep 1000"));
  AwaitState(id, RunState::kRunning);
  const ProcessIdentity supervisor = driver_->GetRun(id).supervisor;
  RunObserver observer(Store::Open(workspace_), id, 2500);
  SignalProcess(supervisor.pid, supervisor.start_time, SIGSTOP);
  while (observer.Check() != RunState::kNotResponding) usleep(20000);
  SignalProcess(supervisor.pid, supervisor.start_time, SIGCONT);
  while (observer.Check() != RunState::kRunning) usleep(20000);
}

TEST_F(RunTest, WhoLooksForTheFirstTimeKnowsHowLongASupervisorIsSilent) {
  const std::string id = Submit(Shell("echo up; sleep 1000"));
  AwaitState(id, RunState::kRunning);
  AwaitLog(id, "up");
  const ProcessIdentity supervisor = driver_->GetRun(id).supervisor;
  const auto look = [&] { return RunObserver(Store::Open(workspace_), id, 6000).Check(); };
  EXPECT_EQ(look(), RunState::kRunning);
  SignalProcess(supervisor.pid, supervisor.start_time, SIGSTOP);
  usleep(6100 * 1000);
  EXPECT_EQ(look(), RunState::kNotResponding);
  SignalProcess(supervisor.pid, supervisor.start_time, SIGCONT);
  int looks = 0;
  while (look() != RunState::kRunning && ++looks < 1000) usleep(20000);
  EXPECT_LT(looks, 1000);
}

// Looks as a host would until the run has ended, but not for ever.
RunState ObserveToTheEnd(RunObserver *observer) {
  RunState state = observer->Check();
  for (int i = 0; i < 6000 && !IsFinal(state); ++i) {
    usleep(10000);
    state = observer->Check();
  }
  return state;
}

TEST_F(RunTest, AStoppedSupervisorIsContinuedToCancel) {
  const std::string id = Submit(Shell("echo up; sleep 1000"));
  AwaitState(id, RunState::kRunning);
  AwaitLog(id, "up");
  const ProcessIdentity supervisor = driver_->GetRun(id).supervisor;
  SignalProcess(supervisor.pid, supervisor.start_time, SIGSTOP);
  driver_->Cancel(id);
  RunObserver observer(Store::Open(workspace_), id, 6000);
  EXPECT_EQ(ObserveToTheEnd(&observer), RunState::kCanceled);
  EXPECT_EQ(ProcessesOf(id), 0u);
  while (HasSupervisor(id)) usleep(2000);
  EXPECT_THAT(ReadFile(Paths(id).RunnerLog()), HasSubstr("the run is Canceled")) << "by its supervisor itself";
}

TEST_F(RunTest, ASupervisorThatStaysSilentIsKilledToCancel) {
  const std::string id = Submit(Shell("echo up; sleep 1000"));
  AwaitState(id, RunState::kRunning);
  AwaitLog(id, "up");
  const ProcessIdentity supervisor = driver_->GetRun(id).supervisor;
  // It beats into the file that is no longer there, and is not told of the cancel.
  WriteFileAtomic(Paths(id).Heartbeat(), ReadFile(Paths(id).Heartbeat()));
  Store(workspace_).runs().Transition(id, RunState::kCancelRequested);
  RunObserver observer(Store::Open(workspace_), id, 1000);
  EXPECT_EQ(ObserveToTheEnd(&observer), RunState::kCanceled);
  EXPECT_EQ(ProcessesOf(id), 0u);
  EXPECT_FALSE(IsProcessAlive(supervisor.pid, supervisor.start_time, supervisor.boot_id));
}

TEST_F(RunTest, ALogThatARankReplacedHoldsNobodyUp) {
  const std::string file = "\"$TRAINYARD_RUN_DIR/user_logs/std_log.txt\"";
  Job job = Shell("echo a; rm -f " + file + "; mkfifo " + file + "; sleep 2; [ $TRAINYARD_ATTEMPT = 1 ]");
  job.retries.maximum = 1;
  const RunRecord run = Run(job);
  EXPECT_EQ(run.state, RunState::kCompleted) << run.error.message;
  std::array<char, 100> buffer;
  EXPECT_EQ(driver_->ReadRunLog(run.id, 0, 0, buffer.data(), buffer.size()), 0U);
  const auto events = driver_->Events(run.id, "", kEventLog | kEventState);
  while (events->Next(60000)) {
  }
  EXPECT_TRUE(events->ended());
  const RunRecord other = Run(Shell("rm -f " + file + "; ln -s /etc/passwd " + file));
  EXPECT_EQ(driver_->ReadRunLog(other.id, 0, 0, buffer.data(), buffer.size()), 0U);
}

TEST_F(RunTest, CancelWhileQueuedAndTheNextGoesOn) {
  setenv("TRAINYARD_LOCAL_SLOTS", "1", 1);
  const std::string running = Submit(Shell("echo up; sleep 1000"));
  AwaitState(running, RunState::kRunning);
  const std::string head = Submit(Shell("echo head"));
  AwaitState(head, RunState::kQueued);
  const std::string second = Submit(Shell("echo second"));
  AwaitState(second, RunState::kQueued);
  driver_->Cancel(head);
  EXPECT_EQ(Finish(head).state, RunState::kCanceled);
  EXPECT_EQ(driver_->GetState(second), RunState::kQueued);
  driver_->Cancel(running);
  EXPECT_EQ(Finish(second).state, RunState::kCompleted);
  EXPECT_EQ(Log(head), "");
}

TEST_F(RunTest, AStopBeforeTheStartCancels) {
  setenv("TRAINYARD_LOCAL_SLOTS", "1", 1);
  const std::string running = Submit(Shell("sleep 1000"));
  AwaitState(running, RunState::kRunning);
  const std::string waiting = Submit(Shell("echo never"));
  AwaitState(waiting, RunState::kQueued);
  driver_->RequestStop(waiting);
  EXPECT_EQ(Finish(waiting).state, RunState::kCanceled);
  EXPECT_EQ(Log(waiting), "");
  driver_->Cancel(running);
  EXPECT_EQ(Finish(running).state, RunState::kCanceled);
}

TEST_F(RunTest, EightRunsThroughTwoSlotsInOrder) {
  setenv("TRAINYARD_LOCAL_SLOTS", "2", 1);
  std::vector<std::string> ids;
  for (int i = 0; i < 8; ++i) {
    ids.push_back(Submit(Shell("sleep 0.05")));
    while (driver_->GetState(ids.back()) < RunState::kQueued) usleep(1000);
  }
  std::vector<int64_t> started;
  for (const std::string &id : ids) {
    const RunRecord run = Finish(id);
    EXPECT_EQ(run.state, RunState::kCompleted);
    started.push_back(run.started_ms);
    // Neighbours start side by side, each with a clock reading of its own; slot_queue_test.cc has the exact order.
    if (started.size() > 2) {
      EXPECT_GE(started.back(), started[started.size() - 3]);
    }
  }
}

TEST_F(RunTest, ARunSubmittedByARankIsItsOwn) {
  // What the library does inside a rank: the second supervisor hangs below the first one's tree.
  const std::string inner = "inner_1_aaaaaaaaaa";
  const pid_t rank = fork();
  if (rank == 0) {
    setenv(kRunIdVariable, "outer_1_aaaaaaaaaa", 1);
    Job job = Shell("env | grep TRAINYARD_RUN_ID; echo up; sleep 1000");
    job.run_id = inner;
    driver_.reset();
    OpenWorkspace(workspace_)->Submit("test", job);
    _exit(0);
  }
  waitpid(rank, nullptr, 0);
  runs_.push_back(inner);
  AwaitLog(inner, "up");
  EXPECT_EQ(Log(inner), "TRAINYARD_RUN_ID=" + inner + "\nup\n");
  EXPECT_EQ(ProcessesOf("outer_1_aaaaaaaaaa"), 0u);
}

TEST_F(RunTest, FullDiskEndsInTheTruth) {
  const std::string small = directory_.path() + "/small";
  MakeDirs(small);
  if (mount("tmpfs", small.c_str(), "tmpfs", 0, "size=8m") != 0) GTEST_SKIP() << "SKIP: cannot mount a tmpfs";
  {
    auto driver = OpenWorkspace(small + "/workspace");
    const std::string id =
        driver->Submit("test", Shell("cat /dev/zero > outputs/fill 2>/dev/null; echo last words >&2; exit 6")).id;
    const RunLayout paths = Layout(small + "/workspace").Run(id);
    while (!PathExists(paths.Outputs() + "/fill")) usleep(10000);
    // The supervisor cannot write the record; it says how the run ended all the same, and goes.
    while (HasSupervisor(id)) usleep(10000);
    RemoveFile(paths.Outputs() + "/fill");
    driver->Wait(id, -1);
    const RunRecord run = driver->GetRun(id);
    EXPECT_EQ(run.state, RunState::kFailed);
    EXPECT_EQ(run.error.exit_code, 6) << run.error.code << " " << run.error.message;
    EXPECT_THAT(run.error.stderr_tail, HasSubstr("last words"));
  }
  umount2(small.c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace trainyard
