// export.h, as far as it needs no engine: tests/engine_torch and training_test.cc have the rest.
#include "capi/api.h"

namespace trainyard_test {
namespace {

TEST(ExportTest, AMissingEngineIsNamed) {
  // A runtime directory with a runner and without an engine.
  TempDirectory directory;
  Err err;
  WriteAll(directory / "trainyard-runner", "#!/bin/sh\n");
  ASSERT_EQ(chmod((directory / "trainyard-runner").c_str(), 0755), 0);
  ASSERT_OK(ty_runtime_set_directory(directory.path().c_str(), err));
  const std::string out = directory / "out.onnx";
  const ty_status status = ty_export_onnx(directory.path().c_str(), nullptr, out.c_str(), err);
  EXPECT_TRUE(status == TY_ERR_ENGINE || status == TY_ERR_RUNTIME) << ty_status_name(status) << err.message();
  EXPECT_NE(err.message().find("engine"), std::string::npos) << err.message();
  EXPECT_FALSE(std::filesystem::exists(out));
  EXPECT_OK(ty_runtime_set_directory(nullptr, err));
}

}  // namespace
}  // namespace trainyard_test
