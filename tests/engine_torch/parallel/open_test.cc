// Who connects ranks: what the CUDA half has left for GPUs, else MPI.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine_torch/parallel/collective.h"
#include "util/error.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

std::string MessageOf(c10::Device device) {
  try {
    OpenCollective(1, 2, device);
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), Status::kUnsupported);
    return error.what();
  }
  return "";
}

c10::Device asked = c10::kCPU;

TEST(OpenCollective, OnGpusTakesWhatTheCudaHalfHasLeft) {
  EXPECT_FALSE(HasGpuCollective());
  EXPECT_THAT(MessageOf(c10::Device(c10::kCUDA, 1)), HasSubstr("needs NCCL"));
  SetGpuCollective([](int rank, int world_size, c10::Device device) -> std::unique_ptr<Collective> {
    EXPECT_EQ(rank, 1);
    EXPECT_EQ(world_size, 2);
    asked = device;
    return nullptr;
  });
  EXPECT_TRUE(HasGpuCollective());
  EXPECT_EQ(MessageOf(c10::Device(c10::kCUDA, 1)), "");
  EXPECT_EQ(asked, c10::Device(c10::kCUDA, 1));
  SetGpuCollective(nullptr);
}

TEST(OpenCollective, OnCpusWantsMpirun) {
  EXPECT_THAT(MessageOf(c10::kCPU), HasSubstr("ty_distribution_new_mpi, or a GPU for each rank"));
}

}  // namespace
}  // namespace trainyard
