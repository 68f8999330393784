// Operators that make one number of many: sums, means, maxima, norms.
#include <numeric>

#include "engine_torch/export/operators.h"

namespace trainyard::onnx {
namespace {

// The dimensions that are reduced: those named, else all.
std::vector<int64_t> Axes(const Operation &operation) {
  const int64_t rank = operation.Rank("self");
  std::vector<int64_t> axes;
  if (operation.Has("dim")) {
    for (const int64_t dim : operation.Ints("dim")) axes.push_back(Operation::FromFront(dim, rank));
  }
  if (axes.empty()) {
    axes.resize(static_cast<size_t>(rank));
    std::iota(axes.begin(), axes.end(), 0);
  }
  return axes;
}

bool KeepDims(const Operation &operation) {
  return operation.Has("keepdim") && operation.Bool("keepdim");
}

int64_t CountOf(const Operation &operation, const std::vector<int64_t> &axes) {
  int64_t count = 1;
  for (const int64_t axis : axes) count *= operation.FixedSize("self", axis);
  return count;
}

}  // namespace

void TranslateReduction(Operation &operation, const char *onnx) {
  const std::string self = operation.Input("self", operation.ResultType());
  operation.SetResult(operation.graph().Reduce(onnx, self, Axes(operation), KeepDims(operation)));
}

// max(self), max(self, other), and max(self, dim) with the places; `onnx` is "Max" or "Min".
void TranslateExtremum(Operation &operation, const char *onnx) {
  if (operation.Has("other")) return TranslateBinary(operation, onnx);
  const std::string reduce = std::string("Reduce") + onnx, places = std::string("Arg") + onnx;
  const std::string self = operation.Input("self");
  operation.SetResult(operation.graph().Reduce(reduce, self, Axes(operation), KeepDims(operation)));
  if (operation.result_count() < 2 || !operation.IsUsed(1)) return;
  operation.SetResult(operation.graph().Emit(
                          places, {self}, {{"axis", operation.Dim("dim")}, {"keepdims", int64_t{KeepDims(operation)}}}),
                      1);
}

void TranslateArgument(Operation &operation, const char *onnx) {
  GraphBuilder &graph = operation.graph();
  if (operation.Has("dim")) {
    return operation.SetResult(graph.Emit(
        onnx, {operation.Input("self")}, {{"axis", operation.Dim("dim")}, {"keepdims", int64_t{KeepDims(operation)}}}));
  }
  const std::string flat = graph.Emit("Reshape", {operation.Input("self"), graph.Ints({-1})});
  operation.SetResult(graph.Emit(onnx, {flat}, {{"axis", int64_t{0}}, {"keepdims", int64_t{0}}}));
}

// The sum of absolute values, or the root of the sum of squares.
void TranslateNorm(Operation &operation, const char * /*onnx*/) {
  const double order = operation.Number(operation.Has("ord") ? "ord" : "p", 2);
  if (order != 1 && order != 2) operation.Refuse("only norms of order 1 and 2 are supported");
  const std::string self = operation.Input("self", operation.ResultType());
  operation.SetResult(
      operation.graph().Reduce(order == 1 ? "ReduceL1" : "ReduceL2", self, Axes(operation), KeepDims(operation)));
}

// The mean square of the distance from the mean, over count - correction; `onnx` "Sqrt" gives its root.
void TranslateVariance(Operation &operation, const char *onnx) {
  GraphBuilder &graph = operation.graph();
  const at::ScalarType type = operation.ResultType();
  const std::vector<int64_t> axes = Axes(operation);
  double correction = operation.Number("correction", 1);
  if (operation.Has("unbiased")) correction = operation.Bool("unbiased") ? 1 : 0;
  const std::string self = operation.Input("self");
  const std::string centred = graph.Emit("Sub", {self, operation.graph().Reduce("ReduceMean", self, axes, true)});
  std::string result =
      operation.graph().Reduce("ReduceMean", graph.Emit("Mul", {centred, centred}), axes, KeepDims(operation));
  if (correction != 0) {
    const auto count = static_cast<double>(CountOf(operation, axes));
    result = graph.Emit("Mul", {result, graph.Scalar(count / (count - correction), type)});
  }
  operation.SetResult(onnx == nullptr ? result : graph.Emit(onnx, {result}));
}

void TranslateCumulativeSum(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  operation.SetResult(
      graph.Emit("CumSum", {operation.Input("self", operation.ResultType()), graph.Index(operation.Dim("dim"))}));
}

void TranslateTopK(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const std::vector<std::string> results =
      graph.EmitMany("TopK", {operation.Input("self"), graph.Ints({operation.Int("k")})}, 2,
                     {{"axis", operation.Dim("dim")},
                      {"largest", static_cast<int64_t>(operation.Bool("largest"))},
                      {"sorted", static_cast<int64_t>(operation.Bool("sorted"))}});
  operation.SetResult(results[0], 0);
  operation.SetResult(results[1], 1);
}

}  // namespace trainyard::onnx
