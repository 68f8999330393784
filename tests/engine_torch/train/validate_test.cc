// What the engine finds out about a training job without running it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

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

TEST_F(EngineTest, ValidationReadsManifests) {
  const std::string manifest = JoinPath(data_, "list.csv");
  const auto report_of = [&](const std::string &text) {
    WriteFileAtomic(manifest, text);
    return Validate(Changed(Config(""), {{"data.manifest", manifest}}));
  };
  const Json good = report_of(
      "path,label,split,extra\ntrain/red/0.jpg,red,train,\ntrain/blue/0.jpg,blue,train,\nval/red/0.jpg,red,val,\n"
      "none.jpg,blue,val,\nval/blue/0.jpg,blue,test,\n");
  EXPECT_TRUE(good.GetStringList("problems").empty());
  EXPECT_EQ(good.GetStringList("classes"), (std::vector<std::string>{"blue", "red"}));
  EXPECT_EQ(good.GetInt64("train_images"), 2);
  EXPECT_EQ(good.GetInt64("validation_images"), 2);
  EXPECT_EQ(good.GetInt64("test_images"), 1);
  ASSERT_EQ(good.Get("bad_images").size(), 1u);
  EXPECT_THAT(good.Get("bad_images").Items()[0].GetString("path"), HasSubstr("none.jpg"));
  EXPECT_THAT(good.GetStringList("warnings"), testing::Contains(HasSubstr("column 'extra' is ignored")));
  for (const auto &[text, message] : std::map<std::string, std::string>{
           {"path,label,split\n", "names no image"},
           {"path,label,split\ntrain/red/0.jpg,red,train\nval/blue/0.jpg,blue,val\n", "no training image of blue"},
           {"path,label,split\ntrain/red/0.jpg,red,trial\n", "list.csv:2: column 'split'"}}) {
    const std::vector<std::string> problems = report_of(text).GetStringList("problems");
    ASSERT_EQ(problems.size(), 1u) << text;
    EXPECT_THAT(problems[0], HasSubstr(message));
  }
}

TEST_F(EngineTest, ValidationKnowsWhatDoesNotGoTogether) {
  const std::string manifest = JoinPath(data_, "list.csv");
  WriteFileAtomic(manifest, "path,label\nval/red/0.jpg,1\nval/red/1.jpg,2\nval/blue/0.jpg,1\nval/blue/1.jpg,2\n");
  const Json config = Changed(
      Config(""), {{"data.manifest", manifest}, {"data.validation_fraction", 0.5}, {"data.sampling", "weighted"}});
  EXPECT_TRUE(Validate(config).GetStringList("problems").empty());
  const std::vector<std::string> problems =
      Validate(Changed(config, {{"task", "regression"}})).GetStringList("problems");
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_THAT(problems[0], HasSubstr("'data.sampling' is weighted, and the images have no classes"));
  const Json loss = Json::Object().Set("class_weights", "balanced");
  EXPECT_THAT(Validate(Changed(config, {{"loss", loss}})).GetStringList("warnings"),
              testing::Contains(HasSubstr("both make up for rare classes")));
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
