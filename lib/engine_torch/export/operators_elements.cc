// Operators on each element: arithmetic, comparison, choice, conversion. ONNX converts no types by itself, so that each
// operand is brought to the type that PyTorch computes in first.
#include <c10/core/ScalarType.h>

#include <limits>

#include "engine_torch/export/operators.h"

namespace trainyard::onnx {
namespace {

// The type that two operands are compared in.
at::ScalarType CommonType(const Operation &operation, const char *a, const char *b) {
  // A number takes part in its category alone: comparing bytes with 3 compares bytes.
  const at::ScalarType left = operation.TypeOf(a), right = operation.TypeOf(b);
  const auto category = [](at::ScalarType type) { return at::isFloatingType(type) ? 2 : type == at::kBool ? 0 : 1; };
  const auto weak = [&](const char *argument) { return operation.IsNumber(argument) || operation.Rank(argument) == 0; };
  if (weak(b) && !weak(a) && category(right) <= category(left)) return left;
  if (weak(a) && !weak(b) && category(left) <= category(right)) return right;
  if (operation.IsNumber(b) && category(right) == 2) return at::kFloat;
  return c10::promoteTypes(left, right);
}

}  // namespace

void TranslateUnary(Operation &operation, const char *onnx) {
  operation.SetResult(operation.graph().Emit(onnx, {operation.Input("self", operation.ResultType())}));
}

// Powers, products, the larger of two.
void TranslateBinary(Operation &operation, const char *onnx) {
  const bool power = std::string_view(onnx) == "Pow";
  const at::ScalarType type = operation.ResultType();
  const std::string other = operation.Input(power ? "exponent" : "other", type);
  operation.SetResult(operation.graph().Emit(onnx, {operation.Input("self", type), other}));
}

void TranslateComparison(Operation &operation, const char *onnx) {
  const at::ScalarType type = CommonType(operation, "self", "other");
  operation.SetResult(operation.graph().Emit(onnx, {operation.Input("self", type), operation.Input("other", type)}));
}

void TranslateNotEqual(Operation &operation, const char * /*onnx*/) {
  const at::ScalarType type = CommonType(operation, "self", "other");
  const std::string equal =
      operation.graph().Emit("Equal", {operation.Input("self", type), operation.Input("other", type)});
  operation.SetResult(operation.graph().Emit("Not", {equal}));
}

void TranslateLogical(Operation &operation, const char *onnx) {
  if (operation.ResultType() != at::kBool)
    operation.Refuse("only logical values are supported, not the bits of integers");
  std::vector<std::string> inputs = {operation.Input("self", at::kBool)};
  if (operation.Has("other")) inputs.push_back(operation.Input("other", at::kBool));
  operation.SetResult(operation.graph().Emit(onnx, inputs));
}

// self + alpha * other, or with a minus.
void TranslateAddition(Operation &operation, const char *onnx) {
  const at::ScalarType type = operation.ResultType();
  std::string other = operation.Input("other", type);
  const double alpha = operation.Number("alpha", 1);
  if (alpha != 1) other = operation.graph().Emit("Mul", {other, operation.graph().Scalar(alpha, type)});
  operation.SetResult(operation.graph().Emit(onnx, {operation.Input("self", type), other}));
}

// other - alpha * self
void TranslateReversedSubtraction(Operation &operation, const char * /*onnx*/) {
  const at::ScalarType type = operation.ResultType();
  std::string self = operation.Input("self", type);
  const double alpha = operation.Number("alpha", 1);
  if (alpha != 1) self = operation.graph().Emit("Mul", {self, operation.graph().Scalar(alpha, type)});
  operation.SetResult(operation.graph().Emit("Sub", {operation.Input("other", type), self}));
}

void TranslateDivision(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const at::ScalarType type = operation.ResultType();
  std::string rounding = operation.name() == "aten::floor_divide" ? "floor" : "";
  if (operation.Has("rounding_mode")) rounding = operation.Text("rounding_mode");
  // ONNX divides integers towards zero, so that they are divided exactly and rounded here.
  const at::ScalarType exact = at::isFloatingType(type) ? type : at::kDouble;
  std::string result = graph.Emit("Div", {operation.Input("self", exact), operation.Input("other", exact)});
  if (rounding == "floor") result = graph.Emit("Floor", {result});
  if (rounding == "trunc")
    result = graph.Emit("Mul", {graph.Emit("Sign", {result}), graph.Emit("Floor", {graph.Emit("Abs", {result})})});
  operation.SetResult(exact == type ? result : graph.Cast(result, type));
}

// The sign is the divisor's, as ONNX has it for integers alone.
void TranslateRemainder(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const at::ScalarType type = operation.ResultType();
  const std::string self = operation.Input("self", type), other = operation.Input("other", type);
  if (!at::isFloatingType(type)) return operation.SetResult(graph.Emit("Mod", {self, other}));
  const std::string times = graph.Emit("Floor", {graph.Emit("Div", {self, other})});
  operation.SetResult(graph.Emit("Sub", {self, graph.Emit("Mul", {times, other})}));
}

void TranslateReciprocalRoot(Operation &operation, const char * /*onnx*/) {
  const std::string root = operation.graph().Emit("Sqrt", {operation.Input("self", operation.ResultType())});
  operation.SetResult(operation.graph().Emit("Reciprocal", {root}));
}

void TranslateSquare(Operation &operation, const char * /*onnx*/) {
  const std::string self = operation.Input("self");
  operation.SetResult(operation.graph().Emit("Mul", {self, self}));
}

// Bounds may be left out, and be tensors.
void TranslateClamp(Operation &operation, const char * /*onnx*/) {
  const at::ScalarType type = operation.ResultType();
  std::string result = operation.Input("self", type);
  for (const auto &[bound, onnx] : {std::pair("min", "Max"), std::pair("max", "Min")}) {
    if (operation.Has(bound)) result = operation.graph().Emit(onnx, {result, operation.Input(bound, type)});
  }
  operation.SetResult(result);
}

void TranslateWhere(Operation &operation, const char * /*onnx*/) {
  const at::ScalarType type = operation.ResultType();
  operation.SetResult(operation.graph().Emit("Where", {operation.Input("condition", at::kBool),
                                                       operation.Input("self", type), operation.Input("other", type)}));
}

void TranslateMaskedFill(Operation &operation, const char * /*onnx*/) {
  const at::ScalarType type = operation.ResultType();
  operation.SetResult(operation.graph().Emit(
      "Where", {operation.Input("mask", at::kBool), operation.Input("value", type), operation.Input("self", type)}));
}

// self + value * tensor1 * tensor2, or tensor1 / tensor2.
void TranslateProductAddition(Operation &operation, const char *onnx) {
  GraphBuilder &graph = operation.graph();
  const at::ScalarType type = operation.ResultType();
  std::string product = graph.Emit(onnx, {operation.Input("tensor1", type), operation.Input("tensor2", type)});
  const double value = operation.Number("value", 1);
  if (value != 1) product = graph.Emit("Mul", {product, graph.Scalar(value, type)});
  operation.SetResult(graph.Emit("Add", {operation.Input("self", type), product}));
}

// All that give a tensor of one number; its name says which number, unless an argument does.
void TranslateFill(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const at::ScalarType type = operation.ResultType();
  std::string value;
  if (operation.Has("fill_value")) {
    value = operation.Input("fill_value", type);
  } else {
    value = graph.Scalar(operation.name().find("ones") == std::string::npos ? 0 : 1, type);
  }
  operation.SetResult(graph.Expand(value, {}, operation.ResultShape()));
}

void TranslateRange(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const double start = operation.Number("start", 0), step = operation.Number("step", 1);
  if (operation.ResultType() != at::kLong || start != 0 || step != 1)
    operation.Refuse("a range that depends on the batch size must count from 0 in whole numbers");
  const std::string end = graph.Emit("Squeeze", {graph.Sizes(operation.ResultShape()), graph.Ints({0})});
  operation.SetResult(graph.Emit("Range", {graph.Index(0), end, graph.Index(1)}));
}

void TranslateConversion(Operation &operation, const char * /*onnx*/) {
  operation.SetResult(operation.Input("self", operation.ResultType()));
}

void TranslateIdentity(Operation &operation, const char * /*onnx*/) {
  operation.SetResult(operation.Input("self"));
}

void TranslateDropout(Operation &operation, const char * /*onnx*/) {
  if (operation.Bool("train") && operation.Number("p") > 0)
    operation.Refuse("it drops values out, as in training: switch it off in the module with eval()");
  operation.SetResult(operation.Input("input"));
}

}  // namespace trainyard::onnx
