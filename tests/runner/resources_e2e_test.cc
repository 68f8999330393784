// What runs get of the machine, and in which order, through the real trainyard-runner.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>

#include "compute/machine.h"
#include "runner/run_fixture.h"
#include "util/error_message.h"
#include "util/text.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

class ResourcesTest : public RunTest {
 protected:
  ~ResourcesTest() override {
    for (const char *name : {"TRAINYARD_TEST_GPUS", "CUDA_VISIBLE_DEVICES"}) unsetenv(name);
  }
  static Job WithGpus(const std::string &line, int32_t gpus) {
    Job job = Shell(line);
    job.resources.gpus = gpus;
    return job;
  }
  static Job WithPriority(const std::string &line, int32_t priority, bool preemptible = false) {
    Job job = Shell(line);
    job.resources.priority = priority;
    job.resources.preemptible = preemptible;
    return job;
  }
  std::string Refusal(const Job &job) {
    return MessageOf([&] { Submit(job); });
  }
  // Ids of runs that have started, in the order in which they did.
  std::vector<std::string> Started(std::vector<std::string> ids) {
    std::erase_if(ids, [&](const std::string &id) { return driver_->GetRun(id).started_ms == 0; });
    std::stable_sort(ids.begin(), ids.end(), [&](const std::string &a, const std::string &b) {
      return driver_->GetRun(a).started_ms < driver_->GetRun(b).started_ms;
    });
    return ids;
  }
};

constexpr char kShowGpus[] = "echo [$CUDA_VISIBLE_DEVICES] [$NVIDIA_VISIBLE_DEVICES] $CUDA_DEVICE_ORDER";

TEST_F(ResourcesTest, ARunThatAsksForNoGpuSeesNone) {
  setenv("TRAINYARD_TEST_GPUS", "GPU-a,GPU-b", 1);
  setenv("CUDA_VISIBLE_DEVICES", "0,1", 1);
  EXPECT_EQ(Log(Run(Shell(kShowGpus)).id), "[] [void]\n");
}

TEST_F(ResourcesTest, EveryRankSeesTheGpusOfItsNode) {
  setenv("TRAINYARD_TEST_GPUS", "GPU-a,GPU-b,GPU-c", 1);
  setenv("CUDA_VISIBLE_DEVICES", "1,2", 1);
  Job job = WithGpus(kShowGpus, 2);
  job.distribution = Distribution::PyTorch(2, 1);
  const RunRecord run = Run(job);
  for (int32_t rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(ReadFile(Paths(run.id).StdLog(rank, 2)), "[1,2] [GPU-b,GPU-c] PCI_BUS_ID\n");
  }
}

TEST_F(ResourcesTest, SimulatedNodesShareTheMachinesGpusOut) {
  setenv("TRAINYARD_TEST_GPUS", "GPU-a,GPU-b", 1);
  Job job = WithGpus("echo $NODE_RANK $CUDA_VISIBLE_DEVICES", 1);
  job.distribution = Distribution::PyTorch(2, 2);
  const RunRecord run = Run(job);
  ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message;
  EXPECT_EQ(ReadFile(Paths(run.id).StdLog(0, 2)), "0 0\n");
  EXPECT_EQ(ReadFile(Paths(run.id).StdLog(1, 2)), "1 1\n");
}

TEST_F(ResourcesTest, GpusAreNotGivenTwiceAndComeBackFromAKilledSupervisor) {
  setenv("TRAINYARD_TEST_GPUS", "GPU-a", 1);
  const std::string first = Submit(WithGpus("echo up; sleep 1000", 1));
  AwaitState(first, RunState::kRunning);
  const std::string second = Submit(WithGpus(kShowGpus, 1));
  AwaitState(second, RunState::kQueued);
  EXPECT_EQ(Run(Shell("echo passed")).state, RunState::kCompleted) << "a run without GPUs need not wait for one";
  EXPECT_EQ(driver_->GetState(second), RunState::kQueued);
  const ProcessIdentity supervisor = driver_->GetRun(first).supervisor;
  SignalProcess(supervisor.pid, supervisor.start_time, SIGKILL);
  EXPECT_EQ(Finish(second).state, RunState::kCompleted);
  EXPECT_EQ(Log(second), "[0] [GPU-a] PCI_BUS_ID\n");
  EXPECT_EQ(Finish(first).error.code, "runner_died");
}

TEST_F(ResourcesTest, MoreThanTheMachineHasIsRefusedWithTheNumbers) {
  setenv("TRAINYARD_TEST_GPUS", "GPU-a", 1);
  EXPECT_THAT(Refusal(WithGpus("true", 2)), HasSubstr("asks for 2 GPU(s), and compute 'local' has 1"));
  Job job = WithGpus("true", 1);
  job.distribution = Distribution::PyTorch(2, 2);
  EXPECT_THAT(Refusal(job), HasSubstr("1 GPU(s) on each of 2 nodes"));
  job = Shell("true");
  job.resources.cpus = 100000;
  EXPECT_THAT(Refusal(job), HasSubstr("100000"));
  job.resources.cpus = static_cast<int32_t>(UsableCpus().size()) + 1;
  EXPECT_THAT(Refusal(job), HasSubstr("has " + std::to_string(UsableCpus().size())));
  job.resources.cpus = 0;
  job.resources.memory_bytes = uint64_t{1} << 60;
  EXPECT_THAT(Refusal(job), HasSubstr("bytes of memory"));
}

TEST_F(ResourcesTest, ValidateWarnsOfMoreProcessesThanGpus) {
  setenv("TRAINYARD_TEST_GPUS", "GPU-a", 1);
  Job job = WithGpus("true", 1);
  job.distribution = Distribution::PyTorch(3, 1);
  EXPECT_THAT(driver_->Validate(job), HasSubstr("3 processes on each node share 1 GPU(s)"));
}

TEST_F(ResourcesTest, RanksAreBoundToTheirCpus) {
  Job job = Shell("taskset -cp $$ | sed 's/.*: //'; echo $OMP_NUM_THREADS");
  job.resources.cpus = 1;
  const RunRecord run = Run(job);
  const std::string log = Log(run.id);
  const std::vector<std::string_view> lines = Split(Trim(log), '\n');
  ASSERT_EQ(lines.size(), 2U) << Log(run.id);
  EXPECT_TRUE(ParseInt64(lines[0])) << lines[0];
  EXPECT_EQ(lines[1], "1");
  job.variables["OMP_NUM_THREADS"] = "7";
  EXPECT_THAT(Log(Run(job).id), HasSubstr("\n7\n"));
}

TEST_F(ResourcesTest, AboveTheMemoryLimitTheRunIsEnded) {
  // The shell itself holds 200 MB.
  Job job = Shell("x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo full; sleep 1000");
  job.resources.memory_bytes = uint64_t{50} << 20;
  job.retries.maximum = 3;
  const RunRecord run = Run(job);
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.code, "memory_limit");
  EXPECT_THAT(run.error.message, HasSubstr("allows 50 MiB"));
  EXPECT_THAT(run.error.details_json, HasSubstr("\"allowed_bytes\":52428800"));
  EXPECT_EQ(ProcessesOf(run.id), 0U);
}

TEST_F(ResourcesTest, PriorityBeforeOrder) {
  setenv("TRAINYARD_LOCAL_SLOTS", "1", 1);
  const std::string running = Submit(Shell("sleep 1000"));
  AwaitState(running, RunState::kRunning);
  const std::string low = Submit(WithPriority("true", -1)), first = Submit(Shell("true")),
                    second = Submit(Shell("true")), high = Submit(WithPriority("true", 1));
  for (const std::string &id : {low, first, second, high}) AwaitState(id, RunState::kQueued);
  driver_->Cancel(running);
  for (const std::string &id : {low, first, second, high}) EXPECT_EQ(Finish(id).state, RunState::kCompleted);
  EXPECT_EQ(Started({low, first, second, high}), (std::vector<std::string>{high, first, second, low}));
}

TEST_F(ResourcesTest, APreemptedRunWaitsAndResumesFromItsCheckpoint) {
  setenv("TRAINYARD_LOCAL_SLOTS", "1", 1);
  const std::string low =
      Submit(WithPriority("if [ -e outputs/checkpoint ]; then echo resumed as attempt $TRAINYARD_ATTEMPT; exit 0; fi; "
                          "trap 'touch outputs/checkpoint; exit 0' TERM; echo up; while :; do sleep 0.02; done",
                          -1, true));
  AwaitLog(low, "up");
  const std::string equal = Submit(WithPriority("true", -1));
  AwaitState(equal, RunState::kQueued);
  const std::string high = Submit(Shell("echo high"));
  EXPECT_EQ(Finish(high).state, RunState::kCompleted);
  const RunRecord run = Finish(low);
  EXPECT_EQ(run.state, RunState::kCompleted) << run.error.message;
  EXPECT_THAT(Log(low), testing::StartsWith("up\n"));
  EXPECT_THAT(Log(low), testing::EndsWith("resumed as attempt 1\n"));
  EXPECT_EQ(Finish(equal).state, RunState::kCompleted);
  const std::vector<RunState> history = History(low);
  const std::vector<RunState> expected = {RunState::kRunning, RunState::kQueued, RunState::kRunning,
                                          RunState::kFinalizing, RunState::kCompleted};
  ASSERT_GE(history.size(), expected.size());
  EXPECT_EQ(std::vector<RunState>(history.end() - 5, history.end()), expected);
  // It was submitted before its equal, and came back to that place.
  EXPECT_GE(driver_->GetRun(equal).started_ms, run.ended_ms - 1000);
  EXPECT_FALSE(PathExists(Paths(low).PreemptFile()));
}

TEST_F(ResourcesTest, ARunThatDoesNotAllowItKeepsItsPlace) {
  setenv("TRAINYARD_LOCAL_SLOTS", "1", 1);
  const std::string low = Submit(WithPriority("echo up; sleep 0.5; echo done", -1));
  AwaitLog(low, "up");
  const std::string high = Submit(Shell("true"));
  EXPECT_EQ(Finish(high).state, RunState::kCompleted);
  EXPECT_EQ(Log(low), "up\ndone\n");
}

TEST_F(ResourcesTest, ACanceledPreemptedRunDoesNotComeBack) {
  setenv("TRAINYARD_LOCAL_SLOTS", "1", 1);
  const std::string low = Submit(WithPriority("echo up; sleep 1000", -1, true));
  AwaitLog(low, "up");
  const std::string high = Submit(Shell("echo up; sleep 1000"));
  AwaitState(high, RunState::kRunning);
  AwaitState(low, RunState::kQueued);
  driver_->Cancel(low);
  EXPECT_EQ(Finish(low).state, RunState::kCanceled);
  driver_->Cancel(high);
  EXPECT_EQ(Finish(high).state, RunState::kCanceled);
  EXPECT_EQ(Log(low), "up\n");
}

TEST_F(ResourcesTest, RunsSubmittedAtOnceStartInTheOrderTheyWereRecorded) {
  setenv("TRAINYARD_LOCAL_SLOTS", "1", 1);
  constexpr int kHosts = 4, kRuns = 5;
  std::vector<pid_t> hosts;
  driver_.reset();
  for (int host = 0; host < kHosts; ++host) {
    hosts.push_back(fork());
    if (hosts.back() == 0) {
      const auto driver = OpenWorkspace(workspace_);
      for (int i = 0; i < kRuns; ++i) driver->Submit("test", Shell("true"));
      _exit(0);
    }
  }
  for (const pid_t host : hosts) {
    int status = -1;
    waitpid(host, &status, 0);
    EXPECT_EQ(status, 0);
  }
  driver_ = OpenWorkspace(workspace_);
  const RunPage page = driver_->ListRuns({});
  ASSERT_EQ(page.runs.size(), static_cast<size_t>(kHosts * kRuns));
  int64_t earliest = 0;
  for (auto run = page.runs.rbegin(); run != page.runs.rend(); ++run) {  // lists are newest first
    const RunRecord record = Finish(run->id);
    EXPECT_EQ(record.state, RunState::kCompleted) << record.error.message;
    EXPECT_GE(record.started_ms, earliest) << record.id;
    earliest = record.started_ms;
  }
}

}  // namespace
}  // namespace trainyard
