#include "launch/blame.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace trainyard {
namespace {

constexpr char kTraceback[] =
    "Traceback (most recent call last):\n  File \"train.py\", line 3, in <module>\n    main()\nValueError: bad label 7";
constexpr char kEcho[] =
    "Traceback (most recent call last):\n  File \"train.py\", line 9, in <module>\n    all_reduce(x)\n"
    "RuntimeError: [gloo] Connection reset by peer";

RankExit Exit(int32_t rank, int64_t order, int32_t code, const std::string &tail = "") {
  RankExit exit;
  exit.rank = rank;
  exit.order = order;
  exit.exit_code = code;
  exit.stderr_tail = tail;
  return exit;
}

RankExit Signaled(int32_t rank, int64_t order, int32_t signal, const std::string &tail = "") {
  RankExit exit = Exit(rank, order, 0, tail);
  exit.exit_code.reset();
  exit.signal = signal;
  return exit;
}

std::optional<size_t> BlamedExit(const std::vector<RankExit> &exits) {
  Blame blame;
  for (const RankExit &exit : exits) blame.Add(exit);
  return blame.blamed();
}

TEST(BlameTest, FirstFailureWithoutOtherEvidence) {
  EXPECT_EQ(BlamedExit({Exit(0, 0, 0), Exit(2, 1, 7), Exit(1, 2, 7)}), 1u);
  EXPECT_EQ(BlamedExit({Exit(0, 0, 0)}), std::nullopt);
}

TEST(BlameTest, OwnTracebackOutranksAnEarlierEcho) {
  EXPECT_EQ(BlamedExit({Exit(0, 0, 1, kEcho), Exit(3, 1, 1, kTraceback)}), 1u);
  EXPECT_EQ(BlamedExit({Exit(0, 0, 1, "Horovod has been shut down"), Exit(3, 1, 1)}), 1u);
  EXPECT_EQ(BlamedExit({Exit(0, 0, 1, kEcho), Signaled(1, 1, SIGSEGV)}), 1u);
}

TEST(BlameTest, AbortOverALostPeerIsAnEcho) {
  EXPECT_EQ(EvidenceOf(Signaled(0, 0, SIGABRT, "terminate called\nwhat(): Connection closed by peer [10.0.0.1]")),
            Evidence::kEcho);
  EXPECT_EQ(EvidenceOf(Signaled(0, 0, SIGABRT, "terminate called after throwing std::bad_alloc")), Evidence::kOwnFault);
}

TEST(BlameTest, ATracebackThatBreaksOffProvesNothing) {
  const std::string whole = kEcho;
  for (const char *last_word : {"", "\n", "[rank1]:   File \"tr"}) {
    const std::string cut = whole.substr(0, whole.find("RuntimeError")) + last_word;
    EXPECT_NE(EvidenceIn(cut), Evidence::kOwnFault) << cut;
    EXPECT_EQ(EvidenceIn(whole + "\nDuring handling of it:\n" + cut), Evidence::kEcho) << cut;
  }
  EXPECT_EQ(EvidenceIn(std::string(kTraceback) + "\n\n" + kTraceback), Evidence::kOwnFault);
  EXPECT_EQ(FaultLine("[rank1]: Traceback (most recent call last):\n[rank1]:   File 't.py'\n"), "File 't.py'");
}

TEST(BlameTest, RanksEndedByTheKillAreInnocentUnlessTheySaidSomethingBefore) {
  RankExit killed = Signaled(0, 5, SIGKILL);
  killed.after_kill = true;
  EXPECT_EQ(BlamedExit({killed, Exit(1, 0, 1, kEcho)}), 1u);
  killed.stderr_tail = kTraceback;  // hung after its own fault
  EXPECT_EQ(BlamedExit({killed, Exit(1, 0, 1, kEcho)}), 0u);
}

TEST(BlameTest, FaultLine) {
  EXPECT_EQ(FaultLine(std::string(kTraceback) + "\nsome farewell\n"), "ValueError: bad label 7");
  EXPECT_EQ(FaultLine("first\nlast\n\n"), "last");
  EXPECT_EQ(FaultLine(""), "");
}

}  // namespace
}  // namespace trainyard
