#include "compute/gpu.h"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace trainyard {
namespace {

class GpuTest : public testing::Test {
 protected:
  GpuTest() { setenv("TRAINYARD_TEST_GPUS", "GPU-aa,GPU-ab,GPU-cc", 1); }
  ~GpuTest() override {
    for (const char *name : {"TRAINYARD_TEST_GPUS", "CUDA_VISIBLE_DEVICES", kOuterGpusVariable}) unsetenv(name);
  }
  static std::vector<std::string> Ids(const std::vector<GpuDevice> &gpus) {
    std::vector<std::string> ids;
    for (const GpuDevice &gpu : gpus) ids.push_back(gpu.id);
    return ids;
  }
  using Names = std::vector<std::string>;
};

TEST_F(GpuTest, ReadsCudaVisibleDevicesAsCudaDoes) {
  const std::vector<GpuDevice> all = ListGpus();
  EXPECT_EQ(Ids(all), (Names{"GPU-aa", "GPU-ab", "GPU-cc"}));
  EXPECT_EQ(all[2].visible, "2");
  EXPECT_EQ(Ids(FilterGpus(all, "")), Names{});
  EXPECT_EQ(Ids(FilterGpus(all, "2, 0")), (Names{"GPU-cc", "GPU-aa"}));
  EXPECT_EQ(Ids(FilterGpus(all, "0,0,1")), (Names{"GPU-aa", "GPU-ab"}));
  EXPECT_EQ(Ids(FilterGpus(all, "1,7,0")), Names{"GPU-ab"}) << "the first that is not there ends the list";
  EXPECT_EQ(Ids(FilterGpus(all, "-1")), Names{});
  EXPECT_EQ(Ids(FilterGpus(all, "GPU-c")), Names{"GPU-cc"});
}

TEST_F(GpuTest, ARankOfAnotherRunStillFindsTheMachinesGpus) {
  setenv("CUDA_VISIBLE_DEVICES", "1", 1);
  EXPECT_EQ(Ids(ListGpus()), Names{"GPU-ab"});
  setenv(kOuterGpusVariable, "0,1", 1);
  EXPECT_EQ(Ids(ListGpus()), (Names{"GPU-aa", "GPU-ab"}));
  setenv(kOuterGpusVariable, "all", 1);
  EXPECT_EQ(ListGpus().size(), 3U);
}

}  // namespace
}  // namespace trainyard
