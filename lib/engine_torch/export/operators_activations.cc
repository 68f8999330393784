// Activations that ONNX has under another name, with other parameters, or not at all.
#include <cmath>

#include "engine_torch/export/operators.h"

namespace trainyard::onnx {
namespace {

std::string Clip(Operation *operation, const std::string &input, double minimum, double maximum) {
  GraphBuilder &graph = operation->graph();
  const at::ScalarType type = operation->ResultType();
  return graph.Emit("Clip", {input, graph.Scalar(minimum, type), graph.Scalar(maximum, type)});
}

// max(0, min(1, x / 6 + 0.5))
std::string HardSigmoid(Operation *operation) {
  return operation->graph().Emit("HardSigmoid", {operation->Input("self")}, {{"alpha", 1.0f / 6.0f}, {"beta", 0.5f}});
}

float Float(const Operation &operation, const char *argument) {
  return static_cast<float>(operation.Number(argument));
}

}  // namespace

void TranslateRelu6(Operation &operation, const char * /*onnx*/) {
  operation.SetResult(Clip(&operation, operation.Input("self"), 0, 6));
}

void TranslateHardtanh(Operation &operation, const char * /*onnx*/) {
  operation.SetResult(
      Clip(&operation, operation.Input("self"), operation.Number("min_val"), operation.Number("max_val")));
}

void TranslateHardSigmoid(Operation &operation, const char * /*onnx*/) {
  operation.SetResult(HardSigmoid(&operation));
}

void TranslateHardSwish(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const std::string self = operation.Input("self");
  operation.SetResult(operation.opset() >= 14 ? graph.Emit("HardSwish", {self})
                                              : graph.Emit("Mul", {self, HardSigmoid(&operation)}));
}

void TranslateSilu(Operation &operation, const char * /*onnx*/) {
  const std::string self = operation.Input("self");
  operation.SetResult(operation.graph().Emit("Mul", {self, operation.graph().Emit("Sigmoid", {self})}));
}

void TranslateMish(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const std::string self = operation.Input("self");
  operation.SetResult(graph.Emit("Mul", {self, graph.Emit("Tanh", {graph.Emit("Softplus", {self})})}));
}

// x / 2 * (1 + erf(x / sqrt 2)), or its approximation x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))).
void TranslateGelu(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const std::string self = operation.Input("self");
  const bool approximate = operation.Has("approximate") && operation.Text("approximate") == "tanh";
  if (operation.opset() >= 20) {
    return operation.SetResult(
        graph.Emit("Gelu", {self}, {{"approximate", std::string(approximate ? "tanh" : "none")}}));
  }
  const auto number = [&](double value) { return graph.Scalar(value, operation.ResultType()); };
  std::string inner;
  if (approximate) {
    const std::string cube = graph.Emit("Mul", {graph.Emit("Mul", {self, self}), self});
    const std::string sum = graph.Emit("Add", {self, graph.Emit("Mul", {cube, number(0.044715)})});
    inner = graph.Emit("Tanh", {graph.Emit("Mul", {sum, number(std::sqrt(2 / M_PI))})});
  } else {
    inner = graph.Emit("Erf", {graph.Emit("Div", {self, number(std::sqrt(2.0))})});
  }
  const std::string product = graph.Emit("Mul", {self, graph.Emit("Add", {inner, number(1)})});
  operation.SetResult(graph.Emit("Mul", {product, number(0.5)}));
}

void TranslateElu(Operation &operation, const char * /*onnx*/) {
  if (operation.Number("scale", 1) != 1 || operation.Number("input_scale", 1) != 1)
    operation.Refuse("only a scale of 1 is supported");
  operation.SetResult(operation.graph().Emit("Elu", {operation.Input("self")}, {{"alpha", Float(operation, "alpha")}}));
}

void TranslateCelu(Operation &operation, const char * /*onnx*/) {
  operation.SetResult(
      operation.graph().Emit("Celu", {operation.Input("self")}, {{"alpha", Float(operation, "alpha")}}));
}

void TranslateLeakyRelu(Operation &operation, const char * /*onnx*/) {
  operation.SetResult(
      operation.graph().Emit("LeakyRelu", {operation.Input("self")}, {{"alpha", Float(operation, "negative_slope")}}));
}

// The slopes are one for all, or one a channel: [C] is to be broadcast as [C, 1, 1].
void TranslatePRelu(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  std::string slope = operation.Input("weight");
  const int64_t rank = operation.Rank("self");
  const int64_t count = operation.FixedSize("weight", 0);
  if (rank > 2 && count > 1) {
    Shape shape(static_cast<size_t>(rank - 1), Size{1, 1});
    shape[0] = {count, count};
    slope = graph.Reshape(slope, shape);
  }
  operation.SetResult(graph.Emit("PRelu", {operation.Input("self"), slope}));
}

// One half times the sigmoid of the other.
void TranslateGlu(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const int64_t dim = operation.Dim("dim");
  const int64_t half = operation.FixedSize("self", dim) / 2;
  const std::vector<std::string> halves =
      graph.EmitMany("Split", {operation.Input("self"), graph.Ints({half, half})}, 2, {{"axis", dim}});
  operation.SetResult(graph.Emit("Mul", {halves[0], graph.Emit("Sigmoid", {halves[1]})}));
}

void TranslateSoftplus(Operation &operation, const char * /*onnx*/) {
  if (operation.Number("beta", 1) != 1) operation.Refuse("only a beta of 1 is supported");
  operation.SetResult(operation.graph().Emit("Softplus", {operation.Input("self")}));
}

void TranslateLogSigmoid(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  operation.SetResult(graph.Emit("Neg", {graph.Emit("Softplus", {graph.Emit("Neg", {operation.Input("self")})})}));
}

void TranslateSoftmax(Operation &operation, const char *onnx) {
  operation.SetResult(operation.graph().Emit(onnx, {operation.Input("self", operation.ResultType())},
                                             {{"axis", operation.Dim("dim")}}));
}

}  // namespace trainyard::onnx
