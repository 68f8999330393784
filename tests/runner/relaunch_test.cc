#include "runner/relaunch.h"

#include <gtest/gtest.h>

namespace trainyard {
namespace {

using Answer = Relaunches::Answer;

RunError Code(int32_t code) {
  RunError error;
  error.exit_code = code;
  return error;
}

Job MakeJob(int32_t retries, int32_t max_restarts) {
  Job job;
  job.retries = {retries, {9}};
  job.distribution = Distribution::PyTorch(2, 1);
  job.distribution->SetMaxRestarts(max_restarts);
  return job;
}

TEST(Relaunches, RestartsComeBeforeRetriesAndBeginAgainWithEach) {
  Relaunches relaunches(MakeJob(1, 2), true);
  std::vector<int32_t> counts = {relaunches.restarts()};
  while (relaunches.After(Code(1), false) == Answer::kAgain) counts.push_back(relaunches.restarts());
  EXPECT_EQ(counts, (std::vector<int32_t>{0, 1, 2, 0, 1, 2}));
}

TEST(Relaunches, SomeExitCodesAreFinal) {
  Relaunches relaunches(MakeJob(3, 3), true);
  EXPECT_EQ(relaunches.After(Code(9), false), Answer::kNo);
  EXPECT_EQ(relaunches.After(RunError(), false), Answer::kAgain);
}

TEST(Relaunches, ATakenPortIsForgivenOnceAndCostsNoRetry) {
  Relaunches relaunches(MakeJob(0, 0), true);
  EXPECT_EQ(relaunches.After(Code(1), true), Answer::kOtherPort);
  EXPECT_EQ(relaunches.After(Code(1), true), Answer::kNo);
  Relaunches of_the_user(MakeJob(0, 0), false);
  EXPECT_EQ(of_the_user.After(Code(1), true), Answer::kNo);
}

}  // namespace
}  // namespace trainyard
