// The launcher "mpi" with Open MPI's mpirun, on this machine and on two hosts made of network namespaces.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>

#include "launch/launcher_fixture.h"
#include "launch/network_hosts.h"
#include "util/error.h"
#include "util/process.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

bool Exists(const std::string &program) {
  return std::system(("command -v " + program + " >/dev/null 2>&1").c_str()) == 0;
}

class MpiLauncherTest : public LauncherTest {
 protected:
  MpiLauncherTest() : LauncherTest("mpi") {
    Nodes(2, 2);
    request_.variables["NOT_FOR_MPIRUN"] = "for ranks";
  }
  ~MpiLauncherTest() override { EXPECT_EQ(RanksLeft(), 0u); }
  void SetUp() override {
    if (!Exists("mpirun")) GTEST_SKIP() << "SKIP: no mpirun: sh scripts/setup.sh mpi";
  }

  void Program(std::vector<std::string> arguments = {}) {
#ifdef TRAINYARD_MPI_PROGRAM
    request_.command = {TRAINYARD_MPI_PROGRAM};
#endif
    request_.command.insert(request_.command.end(), arguments.begin(), arguments.end());
    launcher_->Start(request_);
  }
  static bool HaveProgram() {
#ifdef TRAINYARD_MPI_PROGRAM
    return true;
#else
    return false;
#endif
  }
  size_t RanksLeft() const {
    return FindProcessTree(RunTreeQuery(request_.run_id, 0)).size();
  }
  KillReport EndAll() {
    return launcher_->Kill(std::chrono::milliseconds(100));
  }
  std::string MpirunLog() const {
    return Log("mpirun.log");
  }
};

TEST_F(MpiLauncherTest, AnyProgramHasTheContract) {
  request_.command = {"sh", "-c",
                      "echo $RANK $LOCAL_RANK $NODE_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $MASTER_ADDR $MASTER_PORT "
                      "$OMPI_COMM_WORLD_RANK $OMPI_COMM_WORLD_LOCAL_RANK $OMPI_COMM_WORLD_LOCAL_SIZE "
                      "$OMPI_COMM_WORLD_SIZE $AZ_BATCH_MASTER_NODE $NOT_FOR_MPIRUN $1; pwd; env | grep -c AGENT",
                      "sh", "--rank=$RANK"};
  request_.expand_from = 4;
  launcher_->Start(request_);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(NextExit().exit_code, 1);  // grep's: no such variable
  EXPECT_EQ(LogOf(3),
            "3 1 1 4 2 127.0.0.1 6105 3 1 2 4 127.0.0.1:6105 for ranks --rank=3\n" + directory_.path() + "\n0\n");
  EXPECT_TRUE(EndAll().left.empty());
  EXPECT_EQ(MpirunLog(), "");
}

TEST_F(MpiLauncherTest, AnMpiProgramOnTwoSimulatedNodes) {
  if (!HaveProgram()) GTEST_SKIP() << "SKIP: no mpicc: sh scripts/setup.sh mpi";
  Program();
  for (int i = 0; i < 4; ++i) {
    const RankExit exit = NextExit();
    EXPECT_EQ(exit.exit_code, 0) << exit.stderr_tail;
    EXPECT_EQ(exit.node, exit.rank < 2 ? "node0" : "node1");
  }
  EXPECT_TRUE(EndAll().left.empty());
  for (int32_t rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(LogOf(rank), std::to_string(rank) + " of 4: 6, local " + std::to_string(rank % 2) + " of 2\n");
  }
  EXPECT_EQ(MpirunLog(), "");
}

TEST_F(MpiLauncherTest, AFailureIsRecordedBeforeMpirunEndsTheOthers) {
  if (!HaveProgram()) GTEST_SKIP() << "SKIP: no mpicc: sh scripts/setup.sh mpi";
  Program({"exit", "3", "7"});
  const RankExit exit = NextExit();
  EXPECT_EQ(exit.rank, 3);
  EXPECT_EQ(exit.exit_code, 7);
  EXPECT_EQ(exit.stderr_tail, "rank 3 breaks");
  EXPECT_FALSE(exit.after_kill);
  EXPECT_EQ(launcher_->live_ranks(), 3);
  EXPECT_TRUE(EndAll().left.empty());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(NextExit().after_kill);
}

TEST_F(MpiLauncherTest, TheRankThatCallsMpiAbortGoesFirst) {
  if (!HaveProgram()) GTEST_SKIP() << "SKIP: no mpicc: sh scripts/setup.sh mpi";
  Program({"abort", "2", "9"});
  const RankExit exit = NextExit();
  EXPECT_EQ(exit.rank, 2);
  EXPECT_EQ(exit.exit_code, 9);
  EXPECT_TRUE(EndAll().left.empty());
}

TEST_F(MpiLauncherTest, SignalsAreTold) {
  if (!HaveProgram()) GTEST_SKIP() << "SKIP: no mpicc: sh scripts/setup.sh mpi";
  Program({"signal", "1", std::to_string(SIGKILL)});
  const RankExit exit = NextExit();
  EXPECT_EQ(exit.rank, 1);
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_FALSE(exit.node_lost);
  EndAll();
}

TEST_F(MpiLauncherTest, KillEndsDetachedGrandchildrenWithTermFirst) {
  Shell("setsid sh -c 'trap \"\" TERM; sleep 1000; sleep 1000' & trap 'echo well; exit 5' TERM; echo up; wait");
  while (LogOf(0) != "up\n" || LogOf(3) != "up\n") usleep(1000);
  const KillReport report = launcher_->Kill(std::chrono::milliseconds(500));
  EXPECT_TRUE(report.left.empty());
  EXPECT_GE(report.ended, 8);
  EXPECT_EQ(LogOf(3), "up\nwell\n");
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(NextExit().after_kill);
}

TEST_F(MpiLauncherTest, WithoutMpirunTheRanksAreLost) {
  Shell("echo $PPID; sleep 1000");
  while (LogOf(0).empty() || LogOf(3).empty()) usleep(1000);
  const int64_t mpirun = GetProcess(std::stoll(LogOf(0)))->parent;
  ASSERT_EQ(kill(static_cast<pid_t>(mpirun), SIGKILL), 0);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(NextExit().node_lost);
  EXPECT_TRUE(EndAll().left.empty());
}

TEST_F(MpiLauncherTest, WhatCannotStartSaysWhy) {
  request_.command = {"no-such-program-here"};
  auto message = [&]() -> std::string {
    try {
      launcher_->Start(request_);
    } catch (const Error &error) {
      return error.what();
    }
    return "started";
  };
  EXPECT_THAT(message(), HasSubstr("no such program in PATH"));
  EndAll();
  launcher_ = MakeLauncher("mpi");
  request_.mpi.hostfile = "/no/such/hostfile";
  EXPECT_THAT(message(), testing::AllOf(HasSubstr("mpirun ended with exit code"), HasSubstr("/no/such/hostfile")));
  EndAll();
  launcher_ = MakeLauncher("mpi");
  request_.mpi = MpiOptions();
  request_.canceled = [] { return true; };
  EXPECT_THAT(message(), HasSubstr("canceled"));
  EndAll();
}

class MpiHostsTest : public MpiLauncherTest {
 protected:
  void SetUp() override {
    MpiLauncherTest::SetUp();
    if (IsSkipped()) return;
    std::string why_not;
    hosts_ = NetworkHosts::Make(directory_.path(), &why_not);
    if (!hosts_) GTEST_SKIP() << "SKIP: " << why_not;
    request_.nodes = {{"10.77.0.1", "10.77.0.1", 2}, {"10.77.0.2", "10.77.0.2", 2}};
    request_.master_address = "10.77.0.1";
    request_.mpi.hostfile = hosts_->hostfile();
    request_.mpi.rsh_agent = hosts_->rsh_agent();
    request_.mpi.options = {
        "--mca",        "btl",   "tcp,self",           "--mca",       "pml", "ob1", "--mca", "btl_tcp_if_include",
        "10.77.0.0/24", "--mca", "oob_tcp_if_include", "10.77.0.0/24"};
  }

  std::unique_ptr<NetworkHosts> hosts_;
};

TEST_F(MpiHostsTest, RanksAreSpreadOverTheHosts) {
  Shell("ip -4 -o addr | grep -o '10.77.0.[0-9]*/' ; echo $RANK $NODE_RANK $LOCAL_RANK $MASTER_ADDR $NOT_FOR_MPIRUN");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(NextExit().exit_code, 0);
  EXPECT_EQ(LogOf(1), "10.77.0.1/\n1 0 1 10.77.0.1 for ranks\n");
  EXPECT_EQ(LogOf(2), "10.77.0.2/\n2 1 0 10.77.0.1 for ranks\n");
  EXPECT_TRUE(EndAll().left.empty());
}

TEST_F(MpiHostsTest, AnMpiProgramTalksAcrossHosts) {
  if (!HaveProgram()) GTEST_SKIP() << "SKIP: no mpicc: sh scripts/setup.sh mpi";
  Program();
  for (int i = 0; i < 4; ++i) {
    const RankExit exit = NextExit();
    EXPECT_EQ(exit.exit_code, 0) << exit.stderr_tail;
    EXPECT_EQ(exit.node, exit.rank < 2 ? "10.77.0.1" : "10.77.0.2");
  }
  EXPECT_EQ(LogOf(3), "3 of 4: 6, local 1 of 2\n");
  EXPECT_TRUE(EndAll().left.empty());
}

TEST_F(MpiHostsTest, AFailureOnTheOtherHostIsNamed) {
  if (!HaveProgram()) GTEST_SKIP() << "SKIP: no mpicc: sh scripts/setup.sh mpi";
  Program({"exit", "3", "7"});
  const RankExit exit = NextExit();
  EXPECT_EQ(exit.rank, 3);
  EXPECT_EQ(exit.exit_code, 7);
  EXPECT_EQ(exit.node, "10.77.0.2");
  EXPECT_TRUE(EndAll().left.empty());
}

TEST_F(MpiHostsTest, ALostHostTakesItsRanksAlong) {
  Shell("echo $PPID; sleep 1000");
  while (LogOf(0).empty() || LogOf(2).empty()) usleep(1000);
  const int64_t daemon = GetProcess(std::stoll(LogOf(2)))->parent;
  ASSERT_EQ(kill(static_cast<pid_t>(daemon), SIGKILL), 0);
  for (int i = 0; i < 2; ++i) {
    const RankExit exit = NextExit();
    EXPECT_TRUE(exit.node_lost);
    EXPECT_EQ(exit.node, "10.77.0.2");
  }
  EXPECT_TRUE(EndAll().left.empty());
}

}  // namespace
}  // namespace trainyard
