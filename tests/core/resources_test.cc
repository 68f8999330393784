#include "core/resources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/job.h"
#include "util/error_message.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

TEST(Resources, RoundTripThroughJsonAndLeaveOutWhatIsNotSaid) {
  Resources resources;
  EXPECT_FALSE(resources.ToJson().Has("gpus"));
  EXPECT_FALSE(resources.ToJson().Has("preemptible"));
  resources.gpus = 0;
  resources.share_gpus = true;
  resources.cpus = 3;
  resources.memory_bytes = uint64_t{1} << 40;
  resources.priority = -7;
  resources.preemptible = true;
  const Resources read = Resources::FromJson(resources.ToJson());
  EXPECT_EQ(read.ToJson().Canonical(), resources.ToJson().Canonical());
  EXPECT_EQ(read.gpus, 0);
  EXPECT_TRUE(read.share_gpus && read.preemptible);
}

TEST(Resources, ATrainingJobGetsTheGpusOfItsDevice) {
  TrainConfig train;
  Resources resources;
  EXPECT_EQ(GpusFor(resources, nullptr, 8), 0);
  for (const auto &[device, there, expected] : std::vector<std::tuple<const char *, int32_t, int32_t>>{
           {"auto", 0, 0}, {"auto", 8, 1}, {"cpu", 8, 0}, {"cuda", 0, 1}, {"cuda:2", 8, 3}}) {
    train.SetString("device", device);
    EXPECT_EQ(GpusFor(resources, &train, there), expected) << device;
  }
  resources.gpus = 2;
  EXPECT_EQ(GpusFor(resources, &train, 8), 2);
  EXPECT_EQ(GpusFor(resources, nullptr, 0), 2);
  EXPECT_THAT(MessageOf([&] { CheckDevice(resources, train); }), HasSubstr("needs 3 GPU(s), and the job asks for 2"));
  resources.gpus = 0;
  train.SetString("device", "auto");
  EXPECT_EQ(GpusFor(resources, &train, 8), 0);
  EXPECT_NO_THROW(CheckDevice(resources, train));
}

TEST(Resources, EachRankOfATrainingJobGetsAGpu) {
  TrainConfig train;
  Resources resources;
  for (const auto &[device, there, expected] : std::vector<std::tuple<const char *, int32_t, int32_t>>{
           {"auto", 8, 4}, {"auto", 4, 4}, {"auto", 3, 0}, {"cpu", 8, 0}, {"cuda", 0, 4}}) {
    train.SetString("device", device);
    EXPECT_EQ(GpusFor(resources, &train, there, /*processes=*/4), expected) << device << " of " << there;
  }
  resources.gpus = 6;
  EXPECT_EQ(GpusFor(resources, &train, 8, /*processes=*/4), 6);
}

TEST(Resources, TheQueuesVariablesAreNotTheJobs) {
  Job job;
  job.command = {"x"};
  job.variables["CUDA_VISIBLE_DEVICES"] = "";
  EXPECT_NO_THROW(job.Check());
  job.variables["CUDA_VISIBLE_DEVICES"] = "1";
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("ty_job_set_gpus"));
}

}  // namespace
}  // namespace trainyard
