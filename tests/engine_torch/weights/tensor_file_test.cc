#include "engine_torch/weights/tensor_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine_torch/weights/expect_error.h"
#include "engine_torch/weights/file_builders.h"

namespace trainyard {
namespace {

class OpenWeightsTest : public ::testing::Test {
 protected:
  std::filesystem::path Write(const std::string &name, const std::string &bytes) const {
    return directory_.Write(name, bytes);
  }

  testing::TempDirectory directory_;
};

std::string StateDict() {
  testing::Pickle pickle;
  return testing::AddStateDict(&pickle).Stop();
}

TEST_F(OpenWeightsTest, ChoosesTheReaderByContent) {
  const std::string safetensors = testing::Safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x");
  EXPECT_EQ(OpenWeights(Write("a.pth", safetensors)).format, "safetensors");
  EXPECT_EQ(OpenWeights(Write("b.safetensors", testing::TorchZip(StateDict()))).format, "torch zip");
  EXPECT_EQ(OpenWeights(Write("c.bin", testing::TorchLegacy(StateDict()))).format, "torch legacy");
}

TEST_F(OpenWeightsTest, NamesOtherKindsOfFile) {
  const std::pair<const char *, const char *> cases[] = {
      {"<!DOCTYPE html><html>", "web page"},
      {"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"},
      {"\x89HDF\r\n", "HDF5"},
      {"GGUF....", "GGUF"},
      {"\x1f\x8b\x08 compressed", "gzip"},
      {"Once upon a time", "not a weight file"},
      {"\x93NUMPY\x01 etc", "NumPy"},
  };
  for (const auto &[content, expected] : cases) {
    const std::filesystem::path path = Write("x.pth", content);
    EXPECT_ERROR(Status::kUnsupported, OpenWeights(path), expected, path.string());
  }
}

TEST_F(OpenWeightsTest, NamesFilesThatCannotBeOpened) {
  EXPECT_ERROR(Status::kNotFound, OpenWeights(directory_ / "absent.pth"), "absent.pth");
  EXPECT_ERROR(Status::kUnsupported, OpenWeights(directory_.path()), "not a file");
  EXPECT_ERROR(Status::kCorrupt, OpenWeights(Write("empty.pth", "")), "is empty");
  EXPECT_ERROR(Status::kCorrupt, OpenWeights(Write("stub.safetensors", "\x10")), "truncated", "8 bytes expected",
               "1 present");
  EXPECT_ERROR(Status::kCorrupt, OpenWeights(Write("stub.pth", "PK")), "truncated");
}

TEST_F(OpenWeightsTest, RefusesOldTextPicklesByWhatTheyImport) {
  EXPECT_ERROR(Status::kUnsupported, OpenWeights(Write("x.pth", "cos\nsystem\n(S'ls'\ntR.")), "'os.system'");
}

TEST(NamedTensorTest, KnowsWhetherItIsContiguous) {
  NamedTensor tensor;
  tensor.shape = {2, 1, 3};
  EXPECT_TRUE(tensor.IsContiguous());
  EXPECT_EQ(tensor.ElementCount(), 6);
  tensor.strides = {3, 99, 1};
  EXPECT_TRUE(tensor.IsContiguous());
  tensor.strides = {1, 1, 2};
  EXPECT_FALSE(tensor.IsContiguous());
}

}  // namespace
}  // namespace trainyard
