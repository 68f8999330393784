// Checkpoints: training that goes on from one ends as if it had not been interrupted, bit by bit; and which are taken.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine_torch/train/engine_fixture.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

TEST_F(EngineTest, AResumedRunEndsAsIfItHadNotBeenInterrupted) {
  for (const auto &[architecture, mode] : std::vector<std::pair<const char *, const char *>>{
           {"resnet18", "finetune"}, {"resnet18", "feature"}, {"squeezenet1_1", "feature"}}) {
    const std::string name = std::string(architecture) + mode;
    const Json config =
        Changed(Config(data_), {{"model.architecture", architecture}, {"model.mode", mode}, {"schedule.step_size", 1}});
    ASSERT_TRUE(Run(name + "whole", Changed(config, {{"train.epochs", 4}})).answer.ok());
    ASSERT_TRUE(Run(name + "parts", Changed(config, {{"train.epochs", 2}})).answer.ok());
    const TrainRun second = Run(name + "parts", Changed(config, {{"train.epochs", 4}}));
    ASSERT_TRUE(second.answer.ok()) << second.answer.message;
    EXPECT_TRUE(second.Logged("resuming after epoch 2"));
    EXPECT_EQ(second.metrics.at("val/accuracy").size(), 2u);
    EXPECT_TRUE(ModelBytes(name + "whole") == ModelBytes(name + "parts")) << name;
    // The optimizer's momentum too, not only the weights.
    const std::string file = "checkpoint-000004.safetensors";
    EXPECT_EQ(ReadFile(JoinPath(At(name + "whole_checkpoints"), file)),
              ReadFile(JoinPath(At(name + "parts_checkpoints"), file)))
        << name;
  }
}

// Of fp16 the checkpoint holds the gradient scaler, which counts good steps.
TEST_F(EngineTest, AResumedRunInLowPrecisionEndsAsIfItHadNotBeenInterrupted) {
  for (const auto &[architecture, precision] :
       std::vector<std::pair<const char *, const char *>>{{"resnet18", "bf16"}, {"squeezenet1_1", "fp16"}}) {
    const Json config = Changed(
        Config(data_), {{"model.architecture", architecture}, {"train.precision", precision}, {"train.batch_size", 6}});
    const TrainRun whole = Run(std::string(precision) + "whole", config);
    ASSERT_TRUE(whole.answer.ok()) << whole.answer.message;
    ASSERT_TRUE(Run(std::string(precision) + "parts", Changed(config, {{"train.epochs", 1}})).answer.ok());
    const TrainRun other = Run(std::string(precision) + "parts", Changed(config, {{"train.precision", "fp32"}}));
    EXPECT_THAT(other.answer.message, HasSubstr(std::string("train.precision ") + precision));
    ASSERT_TRUE(Run(std::string(precision) + "parts", config).answer.ok());
    const std::string file = "checkpoint-000002.safetensors";
    const std::string bytes = ReadFile(JoinPath(At(std::string(precision) + "whole_checkpoints"), file));
    EXPECT_TRUE(bytes == ReadFile(JoinPath(At(std::string(precision) + "parts_checkpoints"), file))) << precision;
    const bool scaled = std::string(precision) == "fp16";
    EXPECT_EQ(whole.metrics.count("loss_scale"), scaled ? 1u : 0u);
    if (!scaled) continue;
    EXPECT_EQ(whole.metrics.at("loss_scale").at(2),
              std::ldexp(65536, -static_cast<int>(whole.metrics.at("overflowed_steps").at(2))));
    EXPECT_NE(bytes.find(R"(scaler\":{\"scale\")"), std::string::npos);
  }
}

TEST_F(EngineTest, TenPreemptionsInARowChangeNothing) {
  const std::vector<std::pair<const char *, std::vector<std::pair<std::string, Json>>>> jobs = {
      {"finetune",
       {{"model.architecture", "resnet18"},
        {"optimizer.name", "adamw"},
        {"optimizer.lr", 0.001},
        {"train.ema_decay", 0.9},
        {"schedule.name", "onecycle"}}},
      {"feature", {{"model.architecture", "squeezenet1_1"}, {"model.mode", "feature"}, {"schedule.name", "plateau"}}},
      {"parts", {{"train.micro_batch_size", 2}, {"train.clip_norm", 1.0}, {"optimizer.nesterov", Json(true)}}}};
  WriteFileAtomic(JoinPath(data_, "train/red/empty.jpg"), "");
  for (const auto &[name, changes] : jobs) {
    const Json config = Changed(Changed(Config(data_), {{"train.epochs", 8}, {"train.batch_size", 3}}), changes);
    const TrainRun whole = Run(std::string(name) + "whole", config);
    ASSERT_TRUE(whole.answer.ok()) << whole.answer.message;
    const std::string parts = std::string(name) + "parts";
    std::map<int64_t, double> losses;
    int left = 0;
    for (TrainRun run; left < 100; ++left) {
      run = {};
      // Later each time, so that every place is met: in the middle of epochs, at their ends, while validating.
      run.leave = [calls = 0, after = 1 + left % 3]() mutable { return ++calls > after; };
      if (left >= 10) run.leave = [] { return false; };
      run.Train(config, At(parts), At(parts + "_checkpoints"));
      losses.insert(run.metrics["train/loss"].begin(), run.metrics["train/loss"].end());
      if (run.answer.ok()) break;
      ASSERT_EQ(run.answer.code, "left") << run.answer.message;
      EXPECT_EQ(ListDir(At(parts + "_checkpoints")).size(), 1u);
    }
    EXPECT_EQ(left, 10);
    EXPECT_TRUE(ModelBytes(std::string(name) + "whole") == ModelBytes(parts)) << name;
    EXPECT_EQ(losses, whole.metrics.at("train/loss")) << name;
    const std::string file = "checkpoint-000008.safetensors";
    EXPECT_EQ(ReadFile(JoinPath(At(std::string(name) + "whole_checkpoints"), file)),
              ReadFile(JoinPath(At(parts + "_checkpoints"), file)))
        << name;
  }
}

TEST_F(EngineTest, CheckpointsWithinAnEpochAreKeptAndGoneOnFrom) {
  const Json config = Changed(Config(data_), {{"checkpoint.every_steps", 2}, {"checkpoint.keep", 3}});
  ASSERT_TRUE(Run("a", config).answer.ok());
  std::vector<std::string> names;
  for (const DirEntry &entry : ListDir(At("a_checkpoints"))) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"checkpoint-000001-000002.safetensors", "checkpoint-000001.safetensors",
                                             "checkpoint-000002.safetensors"}));
  const std::string whole = ModelBytes("a");
  RemoveFile(JoinPath(At("a_checkpoints"), "checkpoint-000002.safetensors"));
  const TrainRun run = Run("a", config);
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  EXPECT_TRUE(run.Logged("resuming after epoch 1 and 2 steps"));
  EXPECT_EQ(ModelBytes("a"), whole);
}

TEST_F(EngineTest, ALossThatIsNoNumberTakesTrainingBackToTheLastCheckpoint) {
  // The rate explodes in the second epoch.
  const Json config = Changed(Config(data_), {{"train.nan_policy", "rollback"},
                                              {"train.epochs", 3},
                                              {"schedule.name", "multistep"},
                                              {"schedule.milestones", Json::Parse("[1]", "list")}});
  const TrainRun hopeless = Run("a", Changed(config, {{"schedule.gamma", 1e35}}));
  EXPECT_EQ(hopeless.answer.code, "nan_loss");
  EXPECT_THAT(hopeless.answer.message, HasSubstr("also after going back 5 times"));
  EXPECT_TRUE(hopeless.Logged("back to epoch 2, step 1, with the learning rate times 0.5"));
  EXPECT_TRUE(hopeless.Logged("times 0.03125"));
  EXPECT_TRUE(PathExists(JoinPath(At("a_checkpoints"), "checkpoint-000001.safetensors")));
  // From that checkpoint a sane rate goes on.
  const TrainRun sane = Run("a", Changed(config, {{"schedule.gamma", 1.0}}));
  ASSERT_TRUE(sane.answer.ok()) << sane.answer.message;
  EXPECT_EQ(sane.metrics.at("val/accuracy").size(), 2u);
  const TrainRun none = Run("b", Changed(config, {{"optimizer.lr", 1e30}}));
  EXPECT_EQ(none.answer.code, "nan_loss");
  EXPECT_THAT(none.answer.message, HasSubstr("no checkpoint to go back to"));
}

TEST_F(EngineTest, ADamagedCheckpointIsPassedOver) {
  const Json config = Changed(Config(data_), {{"checkpoint.keep", 2}, {"train.epochs", 2}});
  ASSERT_TRUE(Run("a", config).answer.ok());
  const std::string newest = JoinPath(At("a_checkpoints"), "checkpoint-000002.safetensors");
  std::string bytes = ReadFile(newest);
  bytes[bytes.size() - 100] = static_cast<char>(bytes[bytes.size() - 100] ^ 1);
  WriteFileAtomic(newest, bytes);
  const TrainRun run = Run("a", Changed(config, {{"train.epochs", 3}}));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  EXPECT_TRUE(run.Logged("damaged checkpoint"));
  EXPECT_TRUE(run.Logged("resuming after epoch 1"));
}

TEST_F(EngineTest, ACheckpointOfAnotherJobIsRefused) {
  ASSERT_TRUE(Run("a", Config(data_)).answer.ok());
  const TrainRun run = Run("a", Changed(Config(data_), {{"train.seed", 7}}));
  EXPECT_EQ(run.answer.code, "checkpoint");
  EXPECT_THAT(run.answer.message, HasSubstr("train.seed 1"));
}

TEST_F(EngineTest, OnlySoManyCheckpointsAreKept) {
  ASSERT_TRUE(Run("a", Changed(Config(data_), {{"checkpoint.keep", 2}, {"train.epochs", 4}})).answer.ok());
  std::vector<std::string> names;
  for (const DirEntry &entry : ListDir(At("a_checkpoints"))) names.push_back(entry.name);
  EXPECT_EQ(names, (std::vector<std::string>{"checkpoint-000003.safetensors", "checkpoint-000004.safetensors"}));
}

}  // namespace
}  // namespace trainyard
