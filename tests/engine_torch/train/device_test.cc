// Which device a rank trains on. This machine's GPUs play no part.
#include "engine_torch/train/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "util/error.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

struct Machine {
  int local_ranks = 2, gpus = 2;
  bool can_share = true;
};

std::string DeviceOf(const std::string &name, int local_rank, Machine machine) {
  return ChooseRankDevice(name, local_rank, machine.local_ranks, machine.gpus, machine.can_share).str();
}

std::string MessageOf(const std::string &name, Machine machine, Status status) {
  try {
    DeviceOf(name, 0, machine);
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), status);
    return error.what();
  }
  return "";
}

TEST(ChooseRankDevice, IsTheGpuOfItsNumberOnTheMachine) {
  EXPECT_EQ(DeviceOf("cuda", 0, {}), "cuda:0");
  EXPECT_EQ(DeviceOf("cuda", 1, {}), "cuda:1");
  EXPECT_EQ(DeviceOf("cuda", 1, {2, 8, true}), "cuda:1");
  EXPECT_EQ(DeviceOf("cpu", 1, {}), "cpu");
}

TEST(ChooseRankDevice, AutoIsTheSameForAllRanksOfAMachine) {
  for (const int rank : {0, 1, 2}) {
    EXPECT_EQ(DeviceOf("auto", rank, {3, 3, true}), "cuda:" + std::to_string(rank));
    EXPECT_EQ(DeviceOf("auto", rank, {3, 2, true}), "cpu");
    EXPECT_EQ(DeviceOf("auto", rank, {3, 3, false}), "cpu");
    EXPECT_EQ(DeviceOf("auto", rank, {3, 0, true}), "cpu");
  }
}

TEST(ChooseRankDevice, TooFewGpusAreToldWithWhatToDo) {
  EXPECT_THAT(MessageOf("cuda", {4, 2, true}, Status::kUnsupported),
              HasSubstr("4 ranks are to train on GPUs here, one on each, and this run sees 2"));
  EXPECT_THAT(MessageOf("cuda", {4, 2, true}, Status::kUnsupported), HasSubstr("ty_job_set_gpus"));
  EXPECT_THAT(MessageOf("cuda:1", {}, Status::kInvalidArgument), HasSubstr("set device to cuda"));
}

}  // namespace
}  // namespace trainyard
