// What the engine finds out about a training job without running it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine_torch/train/engine_fixture.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

Json Validate(const Json &config, const std::string &weights = "", bool check_images = true) {
  char *report = nullptr;
  ty_engine_error error = {};
  const int32_t status =
      Engine().validate(config.Dump().c_str(), weights.c_str(), check_images ? 1 : 0, &report, &error);
  const Answer answer = Take(status, &error);
  EXPECT_TRUE(answer.ok()) << answer.message;
  Json json = Json::Parse(report == nullptr ? "{}" : report, "report");
  Engine().free_string(report);
  return json;
}

TEST_F(EngineTest, ValidationSaysThatLowPrecisionIsForGpus) {
  const Json config = Changed(Config(data_), {{"transform.resize", 256}, {"transform.crop", 224}});
  EXPECT_TRUE(Validate(config).GetStringList("warnings").empty());
  const Json whole = Validate(config), low = Validate(Changed(config, {{"train.precision", "bf16"}}));
  ASSERT_EQ(low.GetStringList("warnings").size(), 1u);
  EXPECT_THAT(low.GetStringList("warnings")[0], HasSubstr("train.precision bf16 is for GPUs"));
  EXPECT_LT(low.GetInt64("memory_bytes"), whole.GetInt64("memory_bytes"));
}

TEST_F(EngineTest, ValidationCounts) {
  const Json report = Validate(Changed(Config(data_), {{"train.epochs", 5}, {"model.architecture", "resnet18"}}));
  EXPECT_EQ(report.GetStringList("classes"), (std::vector<std::string>{"blue", "green", "red"}));
  EXPECT_EQ(report.GetInt64("train_images"), 12);
  EXPECT_EQ(report.GetInt64("validation_images"), 6);
  EXPECT_EQ(report.GetInt64("steps_per_epoch"), 3);
  EXPECT_EQ(report.GetInt64("total_steps"), 15);
  EXPECT_EQ(report.GetInt64("parameters"), 11178051);
  EXPECT_EQ(report.Get("bad_images").size(), 0u);
  EXPECT_TRUE(report.GetStringList("problems").empty());
  // The weights four times over, and something for the images.
  EXPECT_GT(report.GetInt64("memory_bytes"), 4 * 4 * 11178051);
  EXPECT_LT(report.GetInt64("memory_bytes"), 500 << 20);
}

TEST_F(EngineTest, ValidationNamesBadImages) {
  WriteFileAtomic(JoinPath(data_, "train/red/empty.jpg"), "");
  const Json report = Validate(Config(data_));
  ASSERT_EQ(report.Get("bad_images").size(), 1u);
  EXPECT_THAT(report.Get("bad_images").Items()[0].GetString("path"), HasSubstr("train/red/empty.jpg"));
  EXPECT_TRUE(report.GetStringList("problems").empty());
  EXPECT_FALSE(report.GetStringList("warnings").empty());
  EXPECT_FALSE(Validate(Changed(Config(data_), {{"data.bad_images", "fail"}})).GetStringList("problems").empty());
  EXPECT_FALSE(Validate(Config(data_), "", false).Has("bad_images"));
}

TEST_F(EngineTest, ValidationGathersProblems) {
  RemoveTree(JoinPath(data_, "val"));
  const Json report = Validate(Changed(Config(data_), {{"model.freeze", "layer9.*"}, {"device", "cuda:99"}}));
  const std::vector<std::string> problems = report.GetStringList("problems");
  ASSERT_EQ(problems.size(), 3u);
  EXPECT_THAT(problems[0], HasSubstr("val"));
  EXPECT_THAT(problems[1], HasSubstr("cuda:99"));
  EXPECT_THAT(problems[2], HasSubstr("layer9.*"));
}

TEST_F(EngineTest, ImagesOfTheWrongSizeAreRefused) {
  const Json config = Changed(Config(data_), {{"model.architecture", "vit_b_16"}});
  const std::vector<std::string> problems = Validate(config).GetStringList("problems");
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0], "vit_b_16 takes images of 224 x 224 pixels only: set transform.crop to 224 instead of 64");
  const TrainRun run = Run("a", config);
  EXPECT_EQ(run.answer.code, "settings");
  EXPECT_EQ(run.answer.message, problems[0]);
  const Json small = Changed(Config(data_), {{"model.architecture", "densenet121"}, {"transform.crop", 24}});
  EXPECT_THAT(Validate(small).GetStringList("problems").at(0), HasSubstr("24 pixels are too small for densenet121"));
}

TEST_F(EngineTest, ValidationReadsTheWeights) {
  const std::string weights = At("bad.safetensors");
  WriteFileAtomic(weights, "no weights");
  EXPECT_EQ(Validate(Config(data_), weights, false).GetStringList("problems").size(), 1u);
  EXPECT_EQ(Validate(Config(data_), At("missing.pth"), false).GetStringList("problems").size(), 1u);
}

}  // namespace
}  // namespace trainyard
