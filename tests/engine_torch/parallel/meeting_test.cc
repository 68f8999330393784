// What is told when ranks do not find each other. That they do is parallel_group_ranks_test's.
#include "engine_torch/parallel/meeting.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "util/error.h"

namespace trainyard {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

std::string MessageOf(const std::function<void()> &body, Status status) {
  try {
    body();
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), status) << error.what();
    return error.what();
  }
  return "";
}

TEST(Meeting, ThePlaceIsOfTheEnvironment) {
  setenv("MASTER_ADDR", "node0", 1);
  setenv("MASTER_PORT", "6105", 1);
  const MeetingPlace place = PlaceOfMeeting();
  EXPECT_EQ(place.address, "node0");
  EXPECT_EQ(place.port, 6105);
  for (const char *port : {"", "0", "65536", "x"}) {
    setenv("MASTER_PORT", port, 1);
    EXPECT_THAT(MessageOf([] { PlaceOfMeeting(); }, Status::kInvalidState),
                HasSubstr("these are 'node0' and '" + std::string(port) + "'"));
  }
  unsetenv("MASTER_ADDR");
  unsetenv("MASTER_PORT");
  EXPECT_THAT(MessageOf([] { PlaceOfMeeting(); }, Status::kInvalidState), HasSubstr("MASTER_ADDR and MASTER_PORT"));
}

TEST(Meeting, APortThatIsTakenIsToldInWordsThatTheRunnerKnows) {
  const LineListener taken = ListenForRanks();
  const std::string what = MessageOf(
      [&] {
        MeetOtherRanks(0, 2, {"127.0.0.1", taken.port}, milliseconds(500));
      },
      Status::kEngine);
  EXPECT_THAT(what, HasSubstr("rank 0 cannot listen at 127.0.0.1, port " + std::to_string(taken.port)));
  EXPECT_THAT(what, HasSubstr("EADDRINUSE"));
}

TEST(Meeting, AFirstRankThatDoesNotComeIsNamed) {
  const uint16_t port = ListenForRanks().port;
  EXPECT_THAT(MessageOf(
                  [&] {
                    MeetOtherRanks(1, 2, {"127.0.0.1", port}, milliseconds(300));
                  },
                  Status::kEngine),
              HasSubstr("rank 1 cannot meet rank 0 at 127.0.0.1, port " + std::to_string(port)));
}

TEST(Meeting, OthersThatDoNotComeAreNamed) {
  const uint16_t port = ListenForRanks().port;
  EXPECT_THAT(MessageOf(
                  [&] {
                    MeetOtherRanks(0, 3, {"127.0.0.1", port}, milliseconds(300));
                  },
                  Status::kEngine),
              HasSubstr("did not come within 0 s: 1, 2"));
}

TEST(Meeting, ThoseWhoComeFirstWait) {
  const uint16_t port = ListenForRanks().port;
  const MeetingPlace place = {"127.0.0.1", port};
  std::thread other([&] { MeetOtherRanks(1, 2, place).line->Close(); });
  MeetOtherRanks(0, 2, place).line->Close();
  other.join();
}

}  // namespace
}  // namespace trainyard
