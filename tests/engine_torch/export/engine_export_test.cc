// The export through the plug-in's seam, as a host calls it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine_torch/train/engine_fixture.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

class EngineExportTest : public EngineTest {
 protected:
  Answer Export(const char *model, const char *options, const char *out) const {
    ty_engine_error error = {};
    const int32_t status = Engine().export_onnx(model, options, out, &error);
    return Take(status, &error);
  }
};

TEST_F(EngineExportTest, WhatATrainingJobWroteIsExported) {
  const TrainRun run = Run("model", Changed(Config(data_), {{"train.epochs", 1}}));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  const std::string out = At("model.onnx");
  const Answer answer = Export(At("model").c_str(), nullptr, out.c_str());
  ASSERT_TRUE(answer.ok()) << answer.message;
  const std::string bytes = ReadFile(out);
  EXPECT_GT(bytes.size(), size_t{2} << 20);
  EXPECT_NE(bytes.find("[\"blue\",\"green\",\"red\"]"), std::string::npos);
  // The same model gives the same file.
  ASSERT_TRUE(Export(JoinPath(At("model"), "model.json").c_str(), "{}", At("again.onnx").c_str()).ok());
  EXPECT_TRUE(ReadFile(At("again.onnx")) == bytes);
}

TEST_F(EngineExportTest, ErrorsHaveStatuses) {
  EXPECT_EQ(Export(nullptr, nullptr, "out").status, 1);
  EXPECT_EQ(Export("model", nullptr, nullptr).status, 1);
  EXPECT_EQ(Export(At("nothing").c_str(), nullptr, At("out").c_str()).status, 2);
  const Answer unknown = Export(At("nothing").c_str(), R"({"sofmax": true})", At("out").c_str());
  EXPECT_EQ(unknown.status, 1);
  EXPECT_THAT(unknown.message, HasSubstr("did you mean 'softmax'"));
  EXPECT_EQ(Export(At("nothing").c_str(), R"({"opset": 9})", At("out").c_str()).status, 9);
}

}  // namespace
}  // namespace trainyard
