// TorchScript modules made here from source; loaded_model_parity.py has Python make them from models.
#include "engine_torch/models/script_model.h"

#include <ATen/Functions.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <torch/utils.h>

#include "engine_torch/models/load.h"
#include "engine_torch/weights/expect_error.h"
#include "engine_torch/weights/file_builders.h"
#include "util/fs.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

torch::jit::Module Define(const std::string &forward) {
  torch::jit::Module module("Net");
  module.register_parameter("weight", at::arange(6, at::kFloat).view({2, 3}), /*is_buffer=*/false);
  module.register_buffer("mean", at::zeros({3}));
  module.register_buffer("var", at::ones({3}));
  module.register_attribute("training", c10::BoolType::get(), true);
  module.define(forward);
  return module;
}

constexpr const char *kMatMul = "def forward(self, x):\n  return x.mean([2, 3]) @ self.weight.t()\n";

TEST(ScriptModelTest, IsSavedLoadedAndRun) {
  const torch::NoGradGuard no_grad;
  const testing::TempDirectory directory;
  const std::string path = directory / "net.pt";
  const torch::jit::Module module = Define(kMatMul);
  SaveScript(module, path);
  SaveScript(module, path);  // over the first
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
  const torch::jit::Module loaded = LoadScript(path);
  EXPECT_FALSE(loaded.is_training());
  const at::Tensor images = at::rand({4, 3, 5, 5});
  EXPECT_TRUE(at::equal(RunScript(loaded, images), RunScript(module, images)));
  // As weights it is read without running anything.
  const TensorFile file = OpenWeights(path);
  ASSERT_EQ(file.tensors.size(), 3U);
  EXPECT_EQ(file.tensors[0].name, "weight");
}

TEST(ScriptModelTest, ATupleGivesItsFirstElement) {
  const torch::NoGradGuard no_grad;
  const torch::jit::Module module =
      Define("def forward(self, x):\n  y = x.mean([2, 3]) @ self.weight.t()\n  return y, y + 1\n");
  const at::Tensor images = at::ones({1, 3, 2, 2});
  EXPECT_EQ(RunScript(module, images)[0][1].item<float>(), 12);
}

TEST(ScriptModelTest, WhatIsNoClassifierIsAnError) {
  const torch::NoGradGuard no_grad;
  const at::Tensor images = at::ones({1, 3, 2, 2});
  EXPECT_ERROR(Status::kUnsupported, RunScript(Define("def forward(self, x):\n  return x\n"), images), "4 dimensions");
  EXPECT_ERROR(Status::kUnsupported, RunScript(Define("def forward(self, x):\n  return 1\n"), images), "Int");
}

TEST(ScriptModelTest, ItsErrorsSayWhatWentWrong) {
  const torch::NoGradGuard no_grad;
  const auto message = [](const std::string &forward) -> std::string {
    try {
      RunScript(Define(forward), at::ones({1, 4, 2, 2}));
    } catch (const c10::Error &error) {
      return error.what_without_backtrace();
    }
    return "no error";
  };
  EXPECT_THAT(message(kMatMul), HasSubstr("shapes cannot be multiplied (1x4 and 3x2)"));
  EXPECT_THAT(message("def forward(self, x):\n  assert x.size(1) == 3, 'wrong size'\n  return x\n"),
              HasSubstr("wrong size"));
}

TEST(ScriptModelTest, WhatCannotBeLoadedNamesTheFile) {
  const testing::TempDirectory directory;
  const std::string path = directory / "net.pt";
  EXPECT_ERROR(Status::kNotFound, LoadScript(path), "net.pt");
  directory.Write("net.pt", "text");
  EXPECT_ERROR(Status::kUnsupported, LoadScript(path), "net.pt", "not a TorchScript archive");
  directory.Write("net.pt", testing::ScriptZip(testing::ScriptModule()));  // its code is no code
  EXPECT_ERROR(Status::kCorrupt, LoadScript(path), "net.pt", "cannot be loaded as TorchScript");
  SaveScript(Define(kMatMul), path);
  const std::string bytes = ReadFile(path);
  directory.Write("net.pt", bytes.substr(0, bytes.size() / 2));
  EXPECT_ERROR(Status::kCorrupt, LoadScript(path), "net.pt", "truncated");
}

TEST(ScriptModelTest, TellsWhetherTheModeIsFixedInTheCode) {
  const std::string norm = "torch.batch_norm(x, None, None, self.mean, self.var, ";
  const auto reason = [&](const std::string &training, const std::string &train) {
    return TracedInEvalMode(Define("def forward(self, x):\n  x = " + norm + training +
                                   ", 0.1, 1e-5, True)\n  if self.training:\n    x = torch.dropout(x, 0.5, " + train +
                                   ")\n  return x\n"));
  };
  EXPECT_EQ(reason("self.training", "self.training"), std::nullopt);
  EXPECT_EQ(reason("True", "True"), std::nullopt);
  ASSERT_TRUE(reason("False", "True").has_value());
  EXPECT_THAT(*reason("False", "True"), HasSubstr("evaluation mode: 1 batch norm in its code"));
  EXPECT_THAT(*reason("self.training", "False"), HasSubstr(": 1 dropout in its code"));
  EXPECT_THAT(*reason("False", "False"), HasSubstr("1 batch norm and 1 dropout"));
}

// LibTorch's own writer would end the process here.
TEST(ScriptModelTest, AFullDiskIsAnErrorAndLeavesNothing) {
  const TempDir directory;
  if (mount("tmpfs", directory.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "SKIP: may not mount a tmpfs";
  }
  torch::jit::Module module = Define(kMatMul);
  module.register_buffer("large", at::zeros({1 << 20}));
  const std::string path = JoinPath(directory.path(), "net.pt");
  EXPECT_ERROR(Status::kNoSpace, SaveScript(module, path), "net.pt");
  EXPECT_TRUE(ListDir(directory.path()).empty());
  umount2(directory.path().c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace trainyard
