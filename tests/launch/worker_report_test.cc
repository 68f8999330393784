#include "launch/worker_report.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace trainyard {
namespace {

// As torch 2.11 writes it, shortened.
std::string Echo(int32_t rank) {
  const std::string mark = "[rank" + std::to_string(rank) + "]: ";
  return mark + "Traceback (most recent call last):\n" + mark + "  File \"ddp.py\", line 8, in <module>\n" + mark +
         "RuntimeError: [gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:64724\n";
}

std::string Fault(int32_t rank) {
  const std::string mark = "[rank" + std::to_string(rank) + "]: ";
  return mark + "Traceback (most recent call last):\n" + mark + "  File \"ddp.py\", line 5, in <module>\n" + "[rank" +
         std::to_string(rank) + "]:\n" + mark + "ValueError: bad batch\n";
}

std::string Entry(int32_t rank, int32_t code) {
  return "[1]:\n  time      : 2026-11-21_09:56:52\n  host      : localhost\n  rank      : " + std::to_string(rank) +
         " (local_rank: 1)\n  exitcode  : " + std::to_string(code) + " (pid: 24835)\n  error_file: <N/A>\n";
}

std::string Report(int32_t rank, int32_t code, const std::string &others = "") {
  return "W1121 api.py:1012] Sending process 24835 closing signal SIGTERM\n"
         "E1121 api.py:986] failed (exitcode: 1) local_rank: 1 (pid: 24837) of binary: python\n"
         "Traceback (most recent call last):\n  File \"torchrun\", line 8, in <module>\n    raise ChildFailedError(\n"
         "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n====\nddp.py FAILED\n----\nFailures:\n" +
         others + "----\nRoot Cause (first observed failure):\n" + Entry(rank, code) + "====\n";
}

RankExit Exit(int32_t node, int64_t order, const std::string &tail) {
  RankExit exit;
  exit.rank = node;
  exit.order = order;
  exit.exit_code = 1;
  exit.stderr_tail = tail;
  return exit;
}

std::optional<size_t> BlamedExit(const std::vector<RankExit> &exits) {
  Blame blame;
  for (const RankExit &exit : exits) blame.Add(exit);
  return blame.blamed();
}

TEST(WorkerReport, TheRootCauseHasARankAndACode) {
  const auto failure = BlamedWorker(Echo(2) + Report(3, 7, Entry(2, -15)));
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->rank, 3);
  EXPECT_EQ(failure->exit_code, 7);
  EXPECT_EQ(failure->evidence, Evidence::kNone);
  EXPECT_EQ(failure->own_text, "");
}

TEST(WorkerReport, ASignalIsAFault) {
  const auto failure = BlamedWorker(Echo(3) + Report(2, -11, Entry(3, -15)));
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->rank, 2);
  EXPECT_FALSE(failure->exit_code);
  EXPECT_EQ(failure->signal, SIGSEGV);
  EXPECT_EQ(failure->evidence, Evidence::kOwnFault);
}

TEST(WorkerReport, ItsOwnTracebackOutranksTheOrder) {
  // Rank 3 ended first, of its echo; rank 2 was still leaving.
  const auto failure = BlamedWorker(Echo(3) + Fault(2) + Report(3, 1, Entry(2, -15)));
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->rank, 2);
  EXPECT_EQ(failure->exit_code, 1);
  EXPECT_EQ(failure->evidence, Evidence::kOwnFault);
  EXPECT_EQ(FaultLine(failure->own_text), "ValueError: bad batch");
}

TEST(WorkerReport, ANodeOfVictimsIsAnEcho) {
  const std::string victims = Echo(1) + Echo(0) + Report(1, 1, Entry(0, -15));
  EXPECT_EQ(EvidenceOf(Exit(0, 0, victims)), Evidence::kEcho);
  const std::string culprit = Echo(2) + Report(3, 7, Entry(2, -15));
  EXPECT_EQ(BlamedExit({Exit(0, 0, victims), Exit(1, 1, culprit)}), 1u);
  EXPECT_EQ(BlamedExit({Exit(0, 0, victims), Exit(1, 1, Echo(3) + Fault(2) + Report(2, 1))}), 1u);
}

TEST(WorkerReport, TextWithoutMarksIsLookedAtAsAWhole) {
  const std::string echo = "RuntimeError: Connection reset by peer\n";
  EXPECT_EQ(BlamedWorker(echo + Report(1, 1))->evidence, Evidence::kEcho);
  EXPECT_EQ(BlamedWorker("Traceback (most recent call last):\n  x\nKeyError: 'a'\n" + Report(1, 1))->evidence,
            Evidence::kOwnFault);
}

TEST(WorkerReport, OtherTextIsNone) {
  EXPECT_FALSE(BlamedWorker(""));
  EXPECT_FALSE(BlamedWorker(Echo(1)));
  EXPECT_FALSE(BlamedWorker("Root Cause (first observed failure):\n  rank : x\n"));
}

TEST(WorkerReport, MarkedTracebacksAreReadLikeOthers) {
  EXPECT_EQ(FaultLine(Fault(2)), "ValueError: bad batch");
  EXPECT_EQ(EvidenceIn(Fault(2)), Evidence::kOwnFault);
  EXPECT_EQ(EvidenceIn(Echo(2)), Evidence::kEcho);
  std::optional<int32_t> rank;
  EXPECT_EQ(WithoutRankMark("[rank12]: x", &rank), "x");
  EXPECT_EQ(rank, 12);
  EXPECT_EQ(WithoutRankMark("[rankx]: x"), "[rankx]: x");
  EXPECT_EQ(WithoutRankMark("plain"), "plain");
}

}  // namespace
}  // namespace trainyard
