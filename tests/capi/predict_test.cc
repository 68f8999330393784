// predict.h, as far as it needs no engine: tests/engine_torch has the rest.
#include "capi/api.h"

namespace trainyard_test {
namespace {

class PredictTest : public ::testing::Test {
 protected:
  // A runtime directory with a runner and without an engine.
  void SetUp() override {
    WriteAll(directory / "trainyard-runner", "#!/bin/sh\n");
    ASSERT_EQ(chmod((directory / "trainyard-runner").c_str(), 0755), 0);
    ASSERT_OK(ty_runtime_set_directory(directory.path().c_str(), err));
  }
  void TearDown() override { ASSERT_OK(ty_runtime_set_directory(nullptr, err)); }

  TempDirectory directory;
  ty_predictor *predictor = nullptr;
  Err err;
};

TEST_F(PredictTest, AMissingEngineIsNamed) {
  const ty_status status = ty_predictor_open(directory.path().c_str(), "cpu", &predictor, err);
  EXPECT_TRUE(status == TY_ERR_ENGINE || status == TY_ERR_RUNTIME) << ty_status_name(status) << err.message();
  EXPECT_NE(err.message().find(directory.path()), std::string::npos) << err.message();
  EXPECT_EQ(err.message().find('\n'), std::string::npos) << err.message();
  EXPECT_EQ(predictor, nullptr);
}

TEST_F(PredictTest, AModelWithoutItsFilesCannotBeOpened) {
  Workspace workspace;
  ASSERT_OK(ty_workspace_open((directory / "w").c_str(), workspace.out(), err));
  WriteAll(directory / "file", "x");
  Model model;
  ASSERT_OK(ty_model_register(workspace, "m", (directory / "file").c_str(), nullptr, model.out(), err));
  EXPECT_OK(ty_model_delete(model, err));
  EXPECT_EQ(ty_predictor_open_model(model, nullptr, &predictor, err), TY_ERR_NOT_FOUND) << err.message();
  EXPECT_EQ(predictor, nullptr);
}

}  // namespace
}  // namespace trainyard_test
