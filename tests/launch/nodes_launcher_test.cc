// Several simulated nodes: the contract, the order of exits across nodes, lost nodes, the end of everything.
#include <signal.h>
#include <unistd.h>

#include "launch/launcher_fixture.h"
#include "util/error.h"
#include "util/process.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

class NodesLauncherTest : public LauncherTest {
 protected:
  NodesLauncherTest() : LauncherTest("nodes") {}
  ~NodesLauncherTest() override { EXPECT_EQ(RanksLeft(), 0u); }

  // The supervisor of a node: the parent of a rank, which has written its own number.
  static int64_t ParentOf(const std::string &pid) { return GetProcess(std::stoll(pid))->parent; }
  size_t RanksLeft() const { return FindProcessTree(RunTreeQuery(request_.run_id, 0)).size(); }
  void EndAll() { launcher_->Kill(std::chrono::milliseconds(0)); }
};

TEST_F(NodesLauncherTest, EveryRankHasTheContractOfItsNode) {
  Nodes(2, 2);
  request_.command = {"sh", "-c",
                      "echo $RANK $LOCAL_RANK $NODE_RANK $GROUP_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $MASTER_ADDR "
                      "$MASTER_PORT $AZ_BATCH_NODE_LIST $AZ_BATCH_MASTER_NODE "
                      "$AZ_BATCH_IS_CURRENT_NODE_MASTER $AZ_BATCHAI_TASK_INDEX $1",
                      "sh", "--node=${NODE_RANK}"};
  request_.expand_from = 4;
  launcher_->Start(request_);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(NextExit().exit_code, 0);
  const std::string common = " 127.0.0.1 6105 127.0.0.1;127.0.0.2 127.0.0.1:6105 ";
  EXPECT_EQ(LogOf(0), "0 0 0 0 4 2" + common + "true 0 --node=0\n");
  EXPECT_EQ(LogOf(1), "1 1 0 0 4 2" + common + "true 1 --node=0\n");
  EXPECT_EQ(LogOf(2), "2 0 1 1 4 2" + common + "false 2 --node=1\n");
  EXPECT_EQ(LogOf(3), "3 1 1 1 4 2" + common + "false 3 --node=1\n");
  EXPECT_EQ(launcher_->live_ranks(), 0);
  EXPECT_TRUE(launcher_->Kill(std::chrono::milliseconds(100)).left.empty());
  EXPECT_FALSE(launcher_->TakeExit());
}

TEST_F(NodesLauncherTest, ExitsComeInTheOrderTheyHappenedAcrossNodes) {
  // 3 goes first, then 0, then 2, then 1: each well after the file of the one before it.
  Nodes(2, 2);
  Shell(
      "after() { while [ ! -e $1 ]; do sleep 0.01; done; sleep 0.1; }; "
      "case $RANK in 3) :;; 0) after 3;; 2) after 0;; 1) after 2;; esac; touch $RANK; "
      "echo rank $RANK says so >&2; exit $((10 + RANK))");
  std::vector<int32_t> ranks;
  for (int i = 0; i < 4; ++i) {
    const RankExit exit = NextExit();
    EXPECT_EQ(exit.order, i);
    EXPECT_EQ(exit.exit_code, 10 + exit.rank);
    EXPECT_EQ(exit.node, exit.rank < 2 ? "node0" : "node1");
    EXPECT_EQ(exit.stderr_tail, "rank " + std::to_string(exit.rank) + " says so");
    EXPECT_FALSE(exit.after_kill);
    ranks.push_back(exit.rank);
  }
  EXPECT_EQ(ranks, (std::vector<int32_t>{3, 0, 2, 1}));
  EXPECT_EQ(launcher_->StderrTail(2), "rank 2 says so");
  EndAll();
}

TEST_F(NodesLauncherTest, ALostNodeTakesItsRanksAlong) {
  Nodes(3, 2);
  Shell("echo $$; setsid sleep 1000 & sleep 1000");
  while (LogOf(2).empty()) usleep(1000);
  ASSERT_EQ(kill(static_cast<pid_t>(ParentOf(LogOf(2))), SIGKILL), 0);
  for (const int32_t rank : {2, 3}) {
    const RankExit exit = NextExit();
    EXPECT_EQ(exit.rank, rank);
    EXPECT_EQ(exit.node, "node1");
    EXPECT_TRUE(exit.node_lost);
    EXPECT_FALSE(exit.after_kill);
  }
  EXPECT_EQ(launcher_->live_ranks(), 4);
  EXPECT_TRUE(launcher_->Kill(std::chrono::milliseconds(50)).left.empty());
  EXPECT_EQ(RanksLeft(), 0u);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(NextExit().after_kill);
}

TEST_F(NodesLauncherTest, KillEndsDetachedGrandchildrenOnEveryNode) {
  Nodes(2, 1);
  Shell(
      "trap '' TERM; setsid sh -c 'trap \"\" TERM; (sleep 1000; sleep 1000) & echo; sleep 1000; sleep 1000' & "
      "echo before >&2; echo; sleep 1000; sleep 1000");
  while (LogOf(0).size() < 9 || LogOf(1).size() < 9) usleep(1000);
  EXPECT_GE(launcher_->Processes().size(), 6u);
  const KillReport report = launcher_->Kill(std::chrono::milliseconds(50));
  EXPECT_TRUE(report.left.empty());
  EXPECT_GE(report.ended, 6);
  EXPECT_EQ(RanksLeft(), 0u);
  for (int i = 0; i < 2; ++i) {
    const RankExit exit = NextExit();
    EXPECT_TRUE(exit.after_kill);
    EXPECT_EQ(exit.signal, SIGKILL);
    EXPECT_EQ(exit.stderr_tail, "before");
  }
}

TEST_F(NodesLauncherTest, TermComesBeforeKill) {
  Nodes(2, 1);
  Shell("trap 'echo well; exit 5' TERM; echo up; while :; do sleep 0.01; done");
  while (LogOf(0) != "up\n" || LogOf(1) != "up\n") usleep(1000);
  launcher_->Kill(std::chrono::seconds(5));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(NextExit().exit_code, 5);
  // The signal goes to the whole tree: the shell may say, before or after, that its sleep was terminated.
  EXPECT_THAT(LogOf(1), testing::AllOf(testing::StartsWith("up\n"), testing::HasSubstr("well\n")));
}

TEST_F(NodesLauncherTest, SignalsReachEveryNode) {
  Nodes(2, 1);
  Shell("trap 'exit 4' TERM; echo up; while :; do sleep 0.01; done");
  while (LogOf(0) != "up\n" || LogOf(1) != "up\n") usleep(1000);
  launcher_->SignalRanks(SIGTERM, true);
  for (int i = 0; i < 2; ++i) {
    const RankExit exit = NextExit();
    EXPECT_EQ(exit.exit_code, 4);
    EXPECT_FALSE(exit.after_kill);
  }
  EndAll();
}

TEST_F(NodesLauncherTest, WhatCannotStartSaysWhy) {
  Nodes(2, 1);
  request_.command = {"no-such-program-here"};
  try {
    launcher_->Start(request_);
    FAIL();
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), HasSubstr("no such program in PATH"));
  }
  EndAll();
}

}  // namespace
}  // namespace trainyard
