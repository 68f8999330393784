// Runs of several processes on several nodes: the contract, who is to blame, restarts, ports, lost nodes.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "runner/run_fixture.h"
#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

class DistributedTest : public RunTest {
 protected:
  static Job Shell(const std::string &line, const Distribution &distribution) {
    Job job = RunTest::Shell(line);
    job.distribution = distribution;
    return job;
  }
  std::string LogOf(const std::string &id, int32_t rank) const {
    return ReadFileIfExists(Paths(id).StdLog(rank, 2)).value_or("");
  }
};

// How a job is spread; each must tell the same story.
struct SpreadCase {
  const char *name;
  Distribution distribution;
};

class EverySpreadTest : public DistributedTest, public testing::WithParamInterface<SpreadCase> {
 protected:
  void SetUp() override {
    const bool needs_mpi = Spread().kind == Distribution::Kind::kMpi;
    if (needs_mpi && std::system("command -v mpirun >/dev/null 2>&1") != 0) {
      GTEST_SKIP() << "SKIP: no mpirun: sh scripts/setup.sh mpi";
    }
  }
  static const Distribution &Spread() { return GetParam().distribution; }
};

TEST_P(EverySpreadTest, AFailingRankIsNamedWithItsCode) {
  const RunRecord run = Run(Shell(
      "setsid sleep 1000 & [ $RANK = 3 ] && { sleep 0.1; exit 7; }; trap '' TERM; sleep 1000; sleep 1000", Spread()));
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.code, "exit_code");
  EXPECT_EQ(run.error.rank, 3);
  EXPECT_EQ(run.error.exit_code, 7);
  EXPECT_EQ(ProcessesOf(run.id), 0u);
  EXPECT_EQ(run.properties.at("trainyard.processes_left"), "0");
}

TEST_P(EverySpreadTest, TheOneThatBrokeItIsNamedEvenWhenItEndsLast) {
  const RunRecord run = Run(
      Shell("[ $RANK = 2 ] || { sleep 0.1; echo 'RuntimeError: Connection closed by peer' >&2; exit 1; }; sleep 0.6; "
            "printf 'Traceback (most recent call last):\\n  File \"t.py\"\\nValueError: bad batch\\n' >&2; exit 1",
            Spread()));
  EXPECT_EQ(run.error.rank, 2);
  EXPECT_THAT(run.error.message, HasSubstr("ValueError: bad batch"));
  EXPECT_EQ(ProcessesOf(run.id), 0u);
}

TEST_P(EverySpreadTest, ArgumentsAreExpandedPerRank) {
  Job job;
  job.command = {"echo", "$RANK/${WORLD_SIZE}"};
  job.arguments = {"--at=$NODE_RANK.$LOCAL_RANK", "$$", "$NOBODY", "$MINE"};
  job.variables = {{"MINE", "of $RANK"}};
  job.distribution = Spread();
  const RunRecord run = Run(job);
  EXPECT_EQ(run.state, RunState::kCompleted) << run.error.message;
  const int32_t per_node = Spread().processes_per_node();
  EXPECT_EQ(LogOf(run.id, 3),
            "3/4 --at=" + std::to_string(3 / per_node) + "." + std::to_string(3 % per_node) + " $$ $NOBODY of $RANK\n");
}

TEST_P(EverySpreadTest, CancelLeavesNothing) {
  const std::string id =
      Submit(Shell("trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000' & echo up; wait", Spread()));
  for (int32_t rank = 0; rank < 4; ++rank) {
    while (LogOf(id, rank).empty()) usleep(1000);
  }
  driver_->Cancel(id);
  EXPECT_EQ(Finish(id).state, RunState::kCanceled);
  EXPECT_EQ(ProcessesOf(id), 0u);
}

INSTANTIATE_TEST_SUITE_P(Launchers, EverySpreadTest,
                         testing::Values(SpreadCase{"Local", Distribution::PyTorch(4, 1)},
                                         SpreadCase{"Nodes", Distribution::PyTorch(4, 2)},
                                         SpreadCase{"Mpi", Distribution::Mpi(2, 2)}),
                         [](const auto &info) { return info.param.name; });

TEST_F(DistributedTest, AShellExpandsItsOwnLineAndItsArgumentsAreExpandedForIt) {
  Job job = Shell("echo $RANK \\$RANK '$RANK' \"$1\"; [ $# = 1 ]", Distribution::PyTorch(2, 1));
  job.arguments = {"$RANK of $WORLD_SIZE"};
  const RunRecord run = Run(job);
  EXPECT_EQ(LogOf(run.id, 1), "1 $RANK $RANK 1 of 2\n");
}

TEST_F(DistributedTest, OnePerNodeIsOneCommandOnEach) {
  Distribution distribution = Distribution::PyTorchPerNode(2);
  distribution.SetBackend("gloo");
  const RunRecord run =
      Run(Shell("echo $NODE_RANK $RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $TRAINYARD_BACKEND", distribution));
  EXPECT_EQ(run.state, RunState::kCompleted) << run.error.message;
  EXPECT_EQ(LogOf(run.id, 0), "0 0 0 2 1 gloo\n");
  EXPECT_EQ(LogOf(run.id, 1), "1 1 0 2 1 gloo\n");
}

TEST_F(DistributedTest, ALostNodeFailsTheRunByName) {
  const std::string id = Submit(Shell("echo $$; setsid sleep 1000 & sleep 1000", Distribution::PyTorch(4, 2)));
  while (LogOf(id, 2).empty()) usleep(1000);
  AwaitState(id, RunState::kRunning);
  kill(static_cast<pid_t>(GetProcess(std::stoll(LogOf(id, 2)))->parent), SIGKILL);
  const RunRecord run = Finish(id);
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.code, "node_lost");
  EXPECT_EQ(run.error.node, "node1");
  EXPECT_EQ(ProcessesOf(id), 0u);
}

TEST_F(DistributedTest, ALostNodeIsReplacedByARetry) {
  Job job = Shell("echo $$ $TRAINYARD_ATTEMPT; [ $TRAINYARD_ATTEMPT = 1 ] || sleep 1000", Distribution::PyTorch(2, 2));
  job.retries.maximum = 1;
  const std::string id = Submit(job);
  while (LogOf(id, 1).empty()) usleep(1000);
  kill(static_cast<pid_t>(GetProcess(std::stoll(LogOf(id, 1)))->parent), SIGKILL);
  EXPECT_EQ(Finish(id).state, RunState::kCompleted);
  EXPECT_THAT(LogOf(id, 1), testing::EndsWith(" 1\n"));
}

TEST_F(DistributedTest, KilledSupervisorTakesItsNodesAlong) {
  const std::string id = Submit(Shell("echo $$; sleep 1000", Distribution::PyTorch(2, 2)));
  while (LogOf(id, 0).empty() || LogOf(id, 1).empty()) usleep(1000);
  AwaitState(id, RunState::kRunning);
  const int64_t node = GetProcess(std::stoll(LogOf(id, 1)))->parent;
  const ProcessIdentity supervisor = driver_->GetRun(id).supervisor;
  SignalProcess(supervisor.pid, supervisor.start_time, SIGKILL);
  EXPECT_EQ(Finish(id).error.code, "runner_died");
  EXPECT_EQ(ProcessesOf(id), 0u);
  const auto left = GetProcess(node);
  EXPECT_TRUE(!left || left->state == 'Z');
}

TEST_F(DistributedTest, KilledSupervisorTakesMpirunAlong) {
  if (std::system("command -v mpirun >/dev/null 2>&1") != 0) GTEST_SKIP() << "SKIP: no mpirun: sh scripts/setup.sh mpi";
  const std::string id = Submit(Shell("echo $$; sleep 1000", Distribution::Mpi(1, 2)));
  while (LogOf(id, 0).empty() || LogOf(id, 1).empty()) usleep(1000);
  AwaitState(id, RunState::kRunning);
  const int64_t agent = GetProcess(std::stoll(LogOf(id, 1)))->parent;
  const ProcessIdentity supervisor = driver_->GetRun(id).supervisor;
  SignalProcess(supervisor.pid, supervisor.start_time, SIGKILL);
  EXPECT_EQ(Finish(id).error.code, "runner_died");
  EXPECT_EQ(ProcessesOf(id), 0u);
  const auto gone = [&] {
    const auto left = GetProcess(agent);
    return !left || left->state == 'Z';
  };
  while (!gone()) usleep(1000);
}

TEST_F(DistributedTest, MpiAbsentIsSaidAtSubmit) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", directory_.path().c_str(), 1);
  try {
    driver_->Submit("test", Shell("true", Distribution::Mpi(1, 2)));
    ADD_FAILURE() << "submitted";
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), Status::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("apt-get install openmpi-bin"));
  }
  setenv("PATH", path.c_str(), 1);
}

// mpirun that never starts anything, as one that waits for a host that does not answer.
class SilentMpirunTest : public DistributedTest {
 protected:
  SilentMpirunTest() : path_(std::getenv("PATH")) {
    MakeDirs(directory_.path() + "/bin");
    WriteFileAtomic(directory_.path() + "/bin/mpirun", "#!/bin/sh\nexec sleep 1000\n", 0755);
    setenv("PATH", (directory_.path() + "/bin:" + path_).c_str(), 1);
  }
  ~SilentMpirunTest() override { setenv("PATH", path_.c_str(), 1); }

  const std::string path_;
};

TEST_F(SilentMpirunTest, CanBeCanceled) {
  const std::string id = Submit(Shell("echo never", Distribution::Mpi(1, 2)));
  while (!PathExists(Paths(id).SystemLogs() + "/mpirun.log")) usleep(1000);
  driver_->Cancel(id);
  EXPECT_EQ(Finish(id).state, RunState::kCanceled);
}

TEST_F(SilentMpirunTest, HasTheTimeLimitOfTheRun) {
  Job job = Shell("echo never", Distribution::Mpi(1, 2));
  job.resources.time_limit_ms = 300;
  EXPECT_EQ(Run(job).error.code, "time_limit");
}

TEST_F(DistributedTest, ElasticRestartsAreCounted) {
  Distribution distribution = Distribution::PyTorch(2, 2);
  distribution.SetMaxRestarts(2);
  const RunRecord run = Run(
      Shell("echo $TORCHELASTIC_RESTART_COUNT of $TORCHELASTIC_MAX_RESTARTS; [ $TORCHELASTIC_RESTART_COUNT = 2 ] || "
            "[ $RANK = 0 ] || exit 1",
            distribution));
  EXPECT_EQ(run.state, RunState::kCompleted) << run.error.message;
  EXPECT_EQ(LogOf(run.id, 1), "0 of 2\n1 of 2\n2 of 2\n");
}

TEST_F(DistributedTest, ATakenPortCostsOneRelaunchAndAnotherPort) {
  const RunRecord run =
      Run(Shell("echo $MASTER_PORT; [ $TRAINYARD_ATTEMPT = 1 ] && exit 0; [ $RANK = 0 ] && { sleep 0.1; "
                "echo 'OSError: [Errno 98] Address already in use' >&2; exit 1; }; sleep 1000",
                Distribution::PyTorch(2, 1)));
  EXPECT_EQ(run.state, RunState::kCompleted) << run.error.message;
  const std::string log = LogOf(run.id, 1);
  const auto ports = Split(log, '\n');
  ASSERT_EQ(ports.size(), 3u);
  EXPECT_NE(ports[0], ports[1]);
}

TEST_F(DistributedTest, APortOfTheUserThatIsTakenIsSaidBeforeTheStart) {
  const UniqueFd stranger(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(stranger.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address), 0);
  ASSERT_EQ(listen(stranger.get(), 1), 0);
  getsockname(stranger.get(), reinterpret_cast<sockaddr *>(&address), &size);
  Distribution distribution = Distribution::PyTorch(2, 1);
  distribution.SetMasterPort(ntohs(address.sin_port));
  const RunRecord run = Run(Shell("echo started", distribution));
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.code, "port_in_use");
  EXPECT_THAT(run.error.message, HasSubstr("set another one"));
  EXPECT_EQ(LogOf(run.id, 0), "");
}

}  // namespace
}  // namespace trainyard
