#include "core/run_state.h"

#include <gtest/gtest.h>

#include <vector>

namespace trainyard {
namespace {

using enum RunState;

std::vector<RunState> AllStates() {
  std::vector<RunState> states;
  for (int32_t i = 0; i <= static_cast<int32_t>(kPaused); ++i) states.push_back(static_cast<RunState>(i));
  return states;
}

TEST(RunState, NamesGoBothWays) {
  for (RunState state : AllStates()) EXPECT_EQ(RunStateFromName(RunStateName(state)), state);
  EXPECT_EQ(RunStateName(static_cast<RunState>(99)), "Unknown");
  EXPECT_EQ(RunStateName(static_cast<RunState>(-1)), "Unknown");
  EXPECT_EQ(RunStateFromName("running"), std::nullopt);
}

TEST(RunState, FinalStatesNeverMove) {
  for (RunState from : {kCompleted, kFailed, kCanceled}) {
    EXPECT_TRUE(IsFinal(from));
    for (RunState to : AllStates())
      EXPECT_FALSE(IsLegalTransition(from, to)) << RunStateName(from) << " -> " << RunStateName(to);
  }
}

TEST(RunState, LiveStatesMoveForward) {
  const std::vector<RunState> order = {kNotStarted, kStarting, kProvisioning, kPreparing,
                                       kQueued,     kRunning,  kFinalizing};
  for (size_t i = 0; i < order.size(); ++i) {
    for (size_t j = 0; j < order.size(); ++j) {
      // The one way back: a preempted run waits again.
      const bool preempted = order[i] == kRunning && order[j] == kQueued;
      EXPECT_EQ(IsLegalTransition(order[i], order[j]), j > i || preempted)
          << RunStateName(order[i]) << " -> " << RunStateName(order[j]);
    }
    EXPECT_TRUE(IsLegalTransition(order[i], kFailed));
    EXPECT_TRUE(IsLegalTransition(order[i], kCancelRequested));
    EXPECT_TRUE(IsLegalTransition(order[i], kNotResponding));
    EXPECT_FALSE(IsLegalTransition(order[i], kCanceled));
  }
}

TEST(RunState, CancelEndsOneWayOrTheOther) {
  EXPECT_TRUE(IsLegalTransition(kCancelRequested, kCanceled));
  EXPECT_TRUE(IsLegalTransition(kCancelRequested, kCompleted));
  EXPECT_TRUE(IsLegalTransition(kCancelRequested, kFailed));
  EXPECT_FALSE(IsLegalTransition(kCancelRequested, kRunning));
}

TEST(RunState, NotRespondingReturnsToAnyLiveState) {
  for (RunState to : {kStarting, kPreparing, kQueued, kRunning, kFinalizing, kFailed, kCancelRequested}) {
    EXPECT_TRUE(IsLegalTransition(kNotResponding, to)) << RunStateName(to);
  }
  EXPECT_FALSE(IsLegalTransition(kNotResponding, kNotStarted));
}

}  // namespace
}  // namespace trainyard
