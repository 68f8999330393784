// A disk that fills up between two checkpoints: the last good one stays, and the error names it. Needs the right to
// mount a small tmpfs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <string>

#include "engine_torch/train/engine_fixture.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

TEST_F(EngineTest, AFullDiskLeavesTheLastGoodCheckpoint) {
  const std::string checkpoints = At("a_checkpoints");
  MakeDirs(checkpoints);
  // A checkpoint of SqueezeNet takes 3 MB in feature mode: the first fits, a second one beside it does not.
  if (mount("tmpfs", checkpoints.c_str(), "tmpfs", 0, "size=5m") != 0) GTEST_SKIP() << "SKIP: may not mount a tmpfs";
  const Json config = Changed(
      Config(data_), {{"model.architecture", "squeezenet1_1"}, {"model.mode", "feature"}, {"checkpoint.keep", 3}});
  const TrainRun run = Run("a", config);
  const std::string good = JoinPath(checkpoints, "checkpoint-000001.safetensors");
  const auto names = ListDir(checkpoints);
  EXPECT_EQ(run.answer.status, 6);
  EXPECT_EQ(run.answer.code, "no_space");
  EXPECT_THAT(run.answer.message, HasSubstr(good));
  ASSERT_EQ(names.size(), 1u);
  EXPECT_NO_THROW(OpenWeights(good));

  // With room, it goes on from there.
  EXPECT_EQ(mount("tmpfs", checkpoints.c_str(), "tmpfs", MS_REMOUNT, "size=50m"), 0);
  const TrainRun again = Run("a", config);
  EXPECT_TRUE(again.answer.ok()) << again.answer.message;
  EXPECT_TRUE(again.Logged("resuming after epoch 1"));
  umount2(checkpoints.c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace trainyard
