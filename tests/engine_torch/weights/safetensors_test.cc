#include "engine_torch/weights/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "engine_torch/weights/expect_error.h"
#include "engine_torch/weights/file_builders.h"

namespace trainyard {
namespace {

using testing::Floats;
using testing::Safetensors;

TensorFile Parse(const std::string &bytes) {
  auto copy = std::make_shared<std::vector<char>>(bytes.begin(), bytes.end());
  return ParseSafetensors(std::as_bytes(std::span(copy->data(), copy->size())), "x.safetensors", copy);
}

NamedTensor Tensor(const std::string &name, DType dtype, std::vector<int64_t> shape, const std::string &data) {
  NamedTensor tensor;
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.data = AsBytes(data);
  return tensor;
}

std::string Content(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(SafetensorsTest, RoundTrips) {
  const testing::TempDirectory directory;
  const std::string floats = Floats(6);
  const std::string bytes = "abc";
  const std::string number = testing::Raw(int64_t{7});
  const std::vector<NamedTensor> tensors = {
      Tensor("z", DType::kFloat32, {2, 3}, floats), Tensor("flags \"quoted\"", DType::kUInt8, {3}, bytes),
      Tensor("a", DType::kFloat32, {6}, floats), Tensor("steps", DType::kInt64, {}, number),
      Tensor("none", DType::kFloat16, {0, 4}, "")};
  WriteSafetensors(directory / "m.safetensors", tensors, {{"architecture", "resnet18"}, {"note", "a\nb"}});
  const TensorFile file = OpenWeights(directory / "m.safetensors");
  EXPECT_EQ(file.format, "safetensors");
  EXPECT_EQ(file.metadata.at("architecture"), "resnet18");
  EXPECT_EQ(file.metadata.at("note"), "a\nb");
  std::vector<std::string> names;
  for (const NamedTensor &tensor : file.tensors) {
    names.push_back(tensor.name);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data.data()) % SizeOf(tensor.dtype), 0U) << tensor.name;
  }
  EXPECT_THAT(names, ::testing::ElementsAre("steps", "a", "z", "none", "flags \"quoted\""));
  EXPECT_EQ(AsText(file.Find("z")->data), floats);
  EXPECT_EQ(file.Find("z")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(AsText(file.Find("flags \"quoted\"")->data), bytes);
  EXPECT_TRUE(file.Find("steps")->shape.empty());
  EXPECT_EQ(file.Find("absent"), nullptr);
}

TEST(SafetensorsTest, WritesTheSameBytesAndLeavesNothingBehind) {
  const testing::TempDirectory directory;
  const std::string floats = Floats(2);
  const std::vector<NamedTensor> one = {Tensor("b", DType::kFloat32, {2}, floats),
                                        Tensor("a", DType::kFloat32, {2}, floats)};
  const std::vector<NamedTensor> other = {one[1], one[0]};
  WriteSafetensors(directory / "1", one);
  WriteSafetensors(directory / "2", other);
  WriteSafetensors(directory / "2", other);  // over an existing file
  EXPECT_EQ(Content(directory / "1"), Content(directory / "2"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 2);
}

TEST(SafetensorsTest, AFailedWriteKeepsTheOldFile) {
  const testing::TempDirectory directory;
  const std::filesystem::path path = directory.Write("m.safetensors", "old");
  const std::string floats = Floats(2);
  std::vector<NamedTensor> tensors = {Tensor("a", DType::kFloat32, {3}, floats)};
  EXPECT_ERROR(Status::kInvalidArgument, WriteSafetensors(path, tensors), "'a' is not contiguous");
  tensors = {Tensor("a", DType::kFloat32, {2}, floats), Tensor("a", DType::kFloat32, {2}, floats)};
  EXPECT_ERROR(Status::kInvalidArgument, WriteSafetensors(path, tensors), "twice");
  tensors = {Tensor("\xff", DType::kFloat32, {2}, floats)};
  EXPECT_ERROR(Status::kInvalidArgument, WriteSafetensors(path, tensors), "UTF-8");
  tensors = {Tensor("a", DType::kFloat32, {2}, floats)};
  EXPECT_ERROR(Status::kNotFound, WriteSafetensors(directory / "no/such/m.safetensors", tensors), "no/such");
  EXPECT_EQ(Content(path), "old");
}

TEST(SafetensorsTest, EveryTruncationIsAnErrorThatSaysHowMuchIsThere) {
  const std::string bytes = Safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", Floats(2));
  EXPECT_EQ(Parse(bytes).tensors.size(), 1U);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_ERROR(Status::kCorrupt, Parse(bytes.substr(0, size)), "'x.safetensors' is truncated",
                 std::to_string(size) + " present");
  }
}

TEST(SafetensorsTest, RefusesWhatTheFormatForbids) {
  const std::string eight(8, 'x');
  const auto entry = [](const std::string &text) { return R"({"a":)" + text + "}"; };
  struct Case {
    std::string header, data, expected;
  };
  const std::vector<Case> cases = {
      {"[1]", "", "does not start with '{'"},
      {" {}", "", "does not start with '{'"},
      {"{\"a\"", "", "not JSON"},
      {"{} x", "", "text follows"},
      {"{}", "x", "1 bytes follow its last tensor"},
      {entry("1"), "", "not a JSON object"},
      {entry(R"({"shape":[2],"data_offsets":[0,8]})"), eight, "no dtype"},
      {entry(R"({"dtype":"F32","data_offsets":[0,8]})"), eight, "no shape"},
      {entry(R"({"dtype":"F32","shape":[2]})"), eight, "no data_offsets"},
      {entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1})"), eight, "unknown field 'x'"},
      {entry(R"({"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]})"), eight, "twice"},
      {entry(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), eight, "impossible shape"},
      {entry(R"({"dtype":"F32","shape":[1.5],"data_offsets":[0,6]})"), eight, "impossible shape"},
      {entry(R"({"dtype":"F32","shape":[9007199254740992,9007199254740992],"data_offsets":[0,8]})"), eight,
       "impossible"},
      {entry(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), eight, "impossible data_offsets"},
      {entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,8]})"), eight, "no data_offsets"},
      {entry(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"), eight, "needs 12 bytes"},
      {entry(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})"), eight, "does not follow"},
      {R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},"b":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}})",
       eight, "'b' overlaps"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
       eight, "twice"},
      {R"({"__metadata__":{"a":{"b":"c"}}})", "", "not a string"},
      {R"({"__metadata__":[]})", "", "not a JSON object"},
      {R"({"__metadata__":{"a":"b","a":"c"}})", "", "twice"},
      {R"({"a\u0000b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})", eight, "NUL"},
  };
  for (const Case &bad : cases) {
    SCOPED_TRACE(bad.header);
    EXPECT_ERROR(Status::kCorrupt, Parse(Safetensors(bad.header, bad.data)), bad.expected);
  }
  EXPECT_ERROR(Status::kCorrupt, Parse(testing::Raw(uint64_t{100'000'001}) + "{}"), "100 MB");
  EXPECT_ERROR(Status::kUnsupported,
               Parse(Safetensors(entry(R"({"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]})"), eight)), "F8_E4M3");
}

TEST(SafetensorsTest, AcceptsPaddingAndNoTensors) {
  EXPECT_TRUE(Parse(Safetensors("{}      ", "")).tensors.empty());
}

}  // namespace
}  // namespace trainyard
