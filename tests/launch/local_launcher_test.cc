#include <signal.h>
#include <sys/resource.h>

#include "launch/launcher_fixture.h"
#include "launch/local/rank_process.h"
#include "util/boot.h"
#include "util/error.h"

namespace trainyard {
namespace {

class LocalLauncherTest : public LauncherTest {
 protected:
  LocalLauncherTest() : LauncherTest("local") {}
};

TEST_F(LocalLauncherTest, OneProcessHasTheWholeContract) {
  Shell(
      "echo $RANK $LOCAL_RANK $NODE_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $MASTER_ADDR $MASTER_PORT; pwd; read x; "
      "echo end of input $?");
  const RankExit exit = NextExit();
  EXPECT_EQ(exit.exit_code, 0);
  EXPECT_EQ(exit.node, "node0");
  EXPECT_FALSE(exit.failed());
  EXPECT_EQ(Log(), "0 0 0 1 1 127.0.0.1 6105\n" + directory_.path() + "\nend of input 1\n");
}

TEST_F(LocalLauncherTest, ExitsComeInTheOrderTheyHappened) {
  // Each rank waits for the file of the one that goes before it: 2, 0, 1.
  Nodes(1, 3);
  Shell(
      "case $RANK in 2) :;; 0) while [ ! -e two ]; do sleep 0.01; done;; 1) while [ ! -e zero ]; do sleep 0.01; "
      "done;; esac; echo rank $RANK says so >&2; case $RANK in 2) (sleep 0.05; touch two) & ;; 0) (sleep 0.05; "
      "touch zero) & ;; esac; exit $((10 + RANK))");
  std::vector<int32_t> ranks;
  for (int i = 0; i < 3; ++i) {
    const RankExit exit = NextExit();
    EXPECT_EQ(exit.order, i);
    EXPECT_EQ(exit.exit_code, 10 + exit.rank);
    EXPECT_EQ(exit.stderr_tail, "rank " + std::to_string(exit.rank) + " says so");
    ranks.push_back(exit.rank);
  }
  EXPECT_EQ(ranks, (std::vector<int32_t>{2, 0, 1}));
  EXPECT_EQ(launcher_->live_ranks(), 0);
  EXPECT_EQ(Log("std_log_1.txt"), "rank 1 says so\n");
}

TEST_F(LocalLauncherTest, SignalsAreTold) {
  Shell("kill -SEGV $$");
  const RankExit exit = NextExit();
  EXPECT_FALSE(exit.exit_code);
  EXPECT_EQ(exit.signal, SIGSEGV);
  EXPECT_FALSE(exit.after_kill);
}

TEST_F(LocalLauncherTest, KillEndsDetachedGrandchildren) {
  Shell(
      "setsid sh -c 'trap \"\" TERM; (trap \"\" TERM; echo; sleep 1000; sleep 1000) & echo; sleep 1000; sleep 1000' "
      "& trap '' TERM; echo; while :; do sleep 1; done");
  while (Log() != "\n\n\n") usleep(1000);
  EXPECT_GE(launcher_->Processes().size(), 3u);
  const KillReport report = launcher_->Kill(std::chrono::milliseconds(50));
  EXPECT_TRUE(report.left.empty());
  EXPECT_GE(report.ended, 5);
  EXPECT_TRUE(FindProcessTree(RunTreeQuery(request_.run_id, 0)).empty());
  const RankExit exit = NextExit();
  EXPECT_TRUE(exit.after_kill);
  EXPECT_EQ(exit.signal, SIGKILL);
}

TEST_F(LocalLauncherTest, WhatCannotStartSaysWhy) {
  auto message = [&](std::vector<std::string> command) -> std::string {
    request_.command = std::move(command);
    try {
      launcher_->Start(request_);
    } catch (const Error &error) {
      return error.what();
    }
    return "started";
  };
  EXPECT_THAT(message({"no-such-program-here"}), testing::HasSubstr("no such program in PATH"));
  EXPECT_THAT(message({"/etc/passwd"}), testing::HasSubstr("cannot run '/etc/passwd': Permission denied"));
  request_.working_directory += "/absent";
  EXPECT_THAT(message({"true"}), testing::HasSubstr("cannot enter"));
}

TEST_F(LocalLauncherTest, FindsProgramsInThePathOfTheJob) {
  MakeDirs(directory_.path() + "/bin");
  WriteFileAtomic(directory_.path() + "/bin/my-script", "echo no shebang, $1\n", 0755);
  request_.variables["PATH"] = directory_.path() + "/bin:/usr/bin:/bin";
  request_.command = {"my-script", "one"};
  launcher_->Start(request_);
  EXPECT_EQ(NextExit().exit_code, 0);
  EXPECT_EQ(Log(), "no shebang, one\n");
}

TEST_F(LocalLauncherTest, SignalsReachTheGroupWhenAsked) {
  Shell("(trap 'echo child; exit 0' TERM; echo; while :; do sleep 0.01; done) & trap 'wait; exit 3' TERM; echo; wait");
  while (Log() != "\n\n") usleep(1000);
  launcher_->SignalRanks(SIGTERM, true);
  EXPECT_EQ(NextExit().exit_code, 3);
  EXPECT_THAT(Log(), testing::HasSubstr("child"));
}

TEST_F(LocalLauncherTest, ManyRanksKeepTheLimitOfFilesThatWas) {
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  rlimit low = old;
  low.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  RaiseFileLimit();
  Nodes(1, 40);
  Shell("ulimit -Sn");
  for (int i = 0; i < 40; ++i) EXPECT_EQ(NextExit().exit_code, 0);
  EXPECT_EQ(LogOf(39), "64\n");
  setrlimit(RLIMIT_NOFILE, &old);
}

}  // namespace
}  // namespace trainyard
