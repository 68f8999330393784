#include "engine_torch/export/onnx_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "engine_torch/export/onnx_reader.h"
#include "engine_torch/weights/expect_error.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using testing::OnnxFile;
using ::testing::Pair;
using testing::ReadOnnx;

class OnnxWriterTest : public ::testing::Test {
 protected:
  std::string Path() const { return JoinPath(directory_.path(), "m.onnx"); }

  TempDir directory_;
};

TEST_F(OnnxWriterTest, WhatIsWrittenIsRead) {
  const std::vector<float> numbers = {1.5f, -2.0f};
  onnx::Model model;
  model.opset = 18;
  model.producer = "p";
  model.graph_name = "g";
  model.inputs = {{"x", onnx::DataType::kFloat, {std::string("batch"), int64_t{2}}}};
  model.outputs = {{"y", onnx::DataType::kInt64, {int64_t{7}}}};
  onnx::Node node;
  node.op = "Op";
  node.name = "n";
  node.inputs = {"x", "", "w"};
  node.outputs = {"y"};
  node.attributes = {{"a", int64_t{-3}},
                     {"b", 0.5f},
                     {"c", std::string("text")},
                     {"d", std::vector<int64_t>{1, -1, int64_t{1} << 40}},
                     {"e", std::vector<float>{0.25f}}};
  model.nodes = {node};
  model.initializers = {{"w", onnx::DataType::kFloat, {2, 1}, std::as_bytes(std::span(numbers)), nullptr}};
  model.metadata = {{"classes", "[\"é\"]"}};
  onnx::WriteModel(model, Path());
  const OnnxFile file = ReadOnnx(Path());
  EXPECT_EQ(file.ir_version, 8);
  EXPECT_EQ(file.opset, 18);
  EXPECT_EQ(file.producer, "p");
  EXPECT_EQ(file.graph_name, "g");
  EXPECT_THAT(file.inputs, ElementsAre("x 1 batch,2"));
  EXPECT_THAT(file.outputs, ElementsAre("y 7 7"));
  ASSERT_EQ(file.nodes.size(), 1u);
  EXPECT_THAT(file.nodes[0].inputs, ElementsAre("x", "", "w"));
  EXPECT_THAT(file.nodes[0].outputs, ElementsAre("y"));
  EXPECT_THAT(file.nodes[0].attributes,
              ElementsAre(Pair("a", "i -3 type 2"), Pair("b", "f 0.500000 type 1"), Pair("c", "s text type 3"),
                          Pair("d", "ints 1 -1 1099511627776 type 7"), Pair("e", "floats 0.250000 type 6")));
  ASSERT_EQ(file.initializers.count("w"), 1u);
  EXPECT_THAT(file.initializers.at("w").shape, ElementsAre(2, 1));
  EXPECT_EQ(file.initializers.at("w").bytes, std::string(reinterpret_cast<const char *>(numbers.data()), 8));
  EXPECT_THAT(file.metadata, ElementsAre(Pair("classes", "[\"é\"]")));
}

TEST_F(OnnxWriterTest, MoreThanTwoGigabytesIsAnErrorAndLeavesNothing) {
  // Address space without memory: nothing of it is read.
  constexpr size_t kBytes = size_t{3} << 30;
  void *nothing = mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(nothing, MAP_FAILED);
  onnx::Model model;
  model.initializers = {
      {"w", onnx::DataType::kUint8, {int64_t{3} << 30}, {static_cast<std::byte *>(nothing), kBytes}, nullptr}};
  EXPECT_ERROR(Status::kUnsupported, onnx::WriteModel(model, Path()), "3072 MB", "at most 2 GB");
  EXPECT_TRUE(ListDir(directory_.path()).empty());
  munmap(nothing, kBytes);
}

TEST_F(OnnxWriterTest, AnOlderFileIsReplacedWhole) {
  WriteFileAtomic(Path(), std::string(10000, 'x'));
  onnx::WriteModel({}, Path());
  EXPECT_EQ(ReadOnnx(Path()).opset, 17);
  EXPECT_EQ(ListDir(directory_.path()).size(), 1u);
}

}  // namespace
}  // namespace trainyard
