// What depends on the batch size, seen in TorchScript written here.
#include "engine_torch/export/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>

#include "engine_torch/weights/expect_error.h"

namespace trainyard {
namespace {

onnx::TracedModel TraceScript(const std::string &forward, std::vector<int64_t> shape,
                              std::optional<int64_t> batch = std::nullopt) {
  auto module = std::make_shared<torch::jit::Module>("m");
  module->define(forward);
  onnx::TraceRequest request;
  request.forward = [module](const at::Tensor &x) { return module->forward({x}); };
  request.input_shape = std::move(shape);
  request.batch_size = batch;
  request.is_script = true;
  return onnx::Trace(request);
}

std::vector<std::string> Operators(const onnx::TracedModel &trace) {
  std::vector<std::string> names;
  for (const auto *node : trace.graph().nodes()) {
    if (node->kind().is_aten()) names.emplace_back(node->kind().toQualString());
  }
  return names;
}

TEST(TraceTest, BranchesAreResolvedAndNothingIsInPlace) {
  const onnx::TracedModel trace = TraceScript(R"(
    def forward(self, x):
        if x.size(1) > 2:
            x.relu_()
        else:
            x.sigmoid_()
        return x + 1
  )",
                                              {3, 4});
  EXPECT_THAT(Operators(trace), ::testing::ElementsAre("aten::relu", "aten::add"));
}

TEST(TraceTest, SizesThatGrowWithTheBatchAreKnown) {
  const onnx::TracedModel trace = TraceScript(R"(
    def forward(self, x):
        return x.reshape(x.size(0) * 3, 4)
  )",
                                              {3, 4});
  const onnx::Shape shape = trace.ShapeOf(trace.outputs().at(0));
  EXPECT_EQ(shape, (onnx::Shape{{6, 9}, {4, 4}}));
  const onnx::TracedModel fixed = TraceScript(R"(
    def forward(self, x):
        return x.reshape(x.size(0) * 3, 4)
  )",
                                              {3, 4}, 5);
  EXPECT_EQ(fixed.ShapeOf(fixed.outputs().at(0)), (onnx::Shape{{15, 15}, {4, 4}}));
}

TEST(TraceTest, OperatorsThatDependOnTheBatchAreRefused) {
  const char *script = R"(
    def forward(self, x):
        for i in range(x.size(0)):
            x = x * 2
        return x
  )";
  EXPECT_ERROR(Status::kUnsupported, TraceScript(script, {3}), "any batch size", "\"dynamic_batch\": false");
  EXPECT_THAT(Operators(TraceScript(script, {3}, 4)), ::testing::SizeIs(4));
}

TEST(TraceTest, BranchesOnValuesAreRefused) {
  // The made-up input is not negative.
  EXPECT_ERROR(Status::kUnsupported,
               TraceScript(R"(
    def forward(self, x):
        if bool(x.min() >= 0):
            return x
        return -x
  )",
                           {100}),
               "depends on the input's values");
  EXPECT_ERROR(Status::kUnsupported,
               TraceScript(R"(
    def forward(self, x):
        return x + torch.rand_like(x)
  )",
                           {3}),
               "random numbers");
}

TEST(TraceTest, OutputsAreTensors) {
  EXPECT_EQ(TraceScript(R"(
    def forward(self, x):
        return (x + 1, None, [x + 2, x + 3])
  )",
                        {3})
                .outputs()
                .size(),
            3u);
  EXPECT_ERROR(Status::kUnsupported,
               TraceScript(R"(
    def forward(self, x):
        return {"y": x + 1}
  )",
                           {3}),
               "GenericDict", "tuple of tensors");
}

}  // namespace
}  // namespace trainyard
