// Operators that move elements. The shapes of results are those of the trace; where they depend on the batch size, the
// graph computes them.
#include <algorithm>
#include <limits>
#include <numeric>

#include "engine_torch/export/operators.h"

namespace trainyard::onnx {
namespace {

std::vector<int64_t> Counting(int64_t count) {
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// elements first .. last - 1 of a dimension
std::string Slice(Operation *operation, const std::string &input, int64_t dim, const std::string &first,
                  const std::string &last, int64_t step = 1) {
  GraphBuilder &graph = operation->graph();
  std::vector<std::string> inputs = {input, first, last, graph.Ints({dim})};
  if (step != 1) inputs.push_back(graph.Ints({step}));
  return graph.Emit("Slice", inputs);
}

size_t Place(int64_t dim) {
  return static_cast<size_t>(dim);
}

}  // namespace

void TranslateReshape(Operation &operation, const char * /*onnx*/) {
  if (operation.Has("dtype")) operation.Refuse("reading a tensor's bytes as another type is not supported");
  const Shape from = operation.ShapeOf("self"), to = operation.ResultShape();
  const std::string self = operation.Input("self");
  operation.SetResult(from == to ? self : operation.graph().Reshape(self, to));
}

void TranslateFlatten(Operation &operation, const char *onnx) {
  const int64_t rank = operation.Rank("self");
  const bool plain = rank > 2 && operation.Dim("start_dim") == 1 && operation.Dim("end_dim") == rank - 1;
  if (!plain) return TranslateReshape(operation, onnx);
  operation.SetResult(operation.graph().Emit("Flatten", {operation.Input("self")}, {{"axis", int64_t{1}}}));
}

void TranslateSqueeze(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const Shape shape = operation.ShapeOf("self");
  const auto rank = static_cast<int64_t>(shape.size());
  const std::vector<int64_t> asked = operation.Has("dim") ? operation.Ints("dim") : Counting(rank);
  std::vector<int64_t> axes;
  for (const int64_t dim : asked) {
    const int64_t axis = Operation::FromFront(dim, rank);
    if (shape[Place(axis)] == Size{1, 1}) axes.push_back(axis);
  }
  const std::string self = operation.Input("self");
  operation.SetResult(axes.empty() ? self : graph.Emit("Squeeze", {self, graph.Ints(axes)}));
}

void TranslateUnsqueeze(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const int64_t axis = Operation::FromFront(operation.Int("dim"), operation.Rank("self") + 1);
  operation.SetResult(graph.Emit("Unsqueeze", {operation.Input("self"), graph.Ints({axis})}));
}

// permute(dims) and movedim(source, destination)
void TranslatePermute(Operation &operation, const char * /*onnx*/) {
  const int64_t rank = operation.Rank("self");
  std::vector<int64_t> order;
  if (operation.Has("dims")) {
    for (const int64_t dim : operation.Ints("dims")) order.push_back(Operation::FromFront(dim, rank));
  } else {
    const std::vector<int64_t> from = operation.Ints("source"), to = operation.Ints("destination");
    order.assign(Place(rank), -1);
    std::vector<bool> moved(Place(rank), false);
    for (size_t i = 0; i < from.size(); ++i) {
      order[Place(Operation::FromFront(to[i], rank))] = Operation::FromFront(from[i], rank);
      moved[Place(Operation::FromFront(from[i], rank))] = true;
    }
    int64_t next = 0;
    for (int64_t &dim : order) {
      if (dim >= 0) continue;
      while (moved[Place(next)]) ++next;
      dim = next++;
    }
  }
  operation.SetResult(operation.graph().Transpose(operation.Input("self"), order));
}

// transpose(dim0, dim1), t() and .T
void TranslateTranspose(Operation &operation, const char * /*onnx*/) {
  std::vector<int64_t> order = Counting(operation.Rank("self"));
  if (operation.Has("dim0")) {
    std::swap(order[Place(operation.Dim("dim0"))], order[Place(operation.Dim("dim1"))]);
  } else {
    std::reverse(order.begin(), order.end());
  }
  operation.SetResult(operation.graph().Transpose(operation.Input("self"), order));
}

void TranslateExpand(Operation &operation, const char * /*onnx*/) {
  operation.SetResult(
      operation.graph().Expand(operation.Input("self"), operation.ShapeOf("self"), operation.ResultShape()));
}

void TranslateRepeat(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const Shape from = operation.ShapeOf("self"), to = operation.ResultShape();
  Shape padded(to.size() - from.size(), Size{1, 1});
  padded.insert(padded.end(), from.begin(), from.end());
  std::string self = operation.Input("self");
  if (padded.size() != from.size()) self = graph.Reshape(self, padded);
  Shape times;
  for (size_t i = 0; i < to.size(); ++i) {
    if (padded[i].first == 0 || padded[i].second == 0) operation.Refuse("an empty tensor cannot be repeated");
    times.push_back({to[i].first / padded[i].first, to[i].second / padded[i].second});
  }
  operation.SetResult(graph.Emit("Tile", {self, graph.Sizes(times)}));
}

void TranslateConcat(Operation &operation, const char * /*onnx*/) {
  const at::ScalarType type = operation.ResultType();
  const auto rank = static_cast<int64_t>(operation.ResultShape().size());
  const std::vector<Shape> shapes = operation.ShapesOf("tensors");
  std::vector<std::string> inputs = operation.Inputs("tensors", type);
  // PyTorch passes over tensors of shape [0] among those of other ranks.
  for (size_t i = inputs.size(); i-- > 0;) {
    if (static_cast<int64_t>(shapes[i].size()) != rank) inputs.erase(inputs.begin() + static_cast<std::ptrdiff_t>(i));
  }
  const int64_t axis = Operation::FromFront(operation.Int("dim"), rank);
  operation.SetResult(inputs.size() == 1 ? inputs[0] : operation.graph().Emit("Concat", inputs, {{"axis", axis}}));
}

void TranslateStack(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const auto rank = static_cast<int64_t>(operation.ResultShape().size());
  const int64_t axis = Operation::FromFront(operation.Int("dim"), rank);
  std::vector<std::string> inputs;
  for (const std::string &input : operation.Inputs("tensors", operation.ResultType()))
    inputs.push_back(graph.Emit("Unsqueeze", {input, graph.Ints({axis})}));
  operation.SetResult(graph.Emit("Concat", inputs, {{"axis", axis}}));
}

// chunk, split, split_with_sizes, tensor_split: the trace knows the parts.
void TranslateSplit(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const int64_t dim = operation.Dim("dim");
  const std::vector<int64_t> sizes = operation.ListSizes(dim);
  const std::string self = operation.Input("self");
  if (sizes.size() == 1) return operation.SetListResult({self});
  operation.SetListResult(graph.EmitMany("Split", {self, graph.Ints(sizes)}, sizes.size(), {{"axis", dim}}));
}

void TranslateUnbind(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const int64_t dim = operation.Dim("dim");
  const std::string self = operation.Input("self");
  std::vector<std::string> parts;
  for (int64_t i = 0; i < operation.FixedSize("self", dim); ++i)
    parts.push_back(graph.Emit("Gather", {self, graph.Index(i)}, {{"axis", dim}}));
  operation.SetListResult(parts);
}

void TranslateSlice(Operation &operation, const char * /*onnx*/) {
  constexpr int64_t kToTheEnd = std::numeric_limits<int64_t>::max();
  GraphBuilder &graph = operation.graph();
  const int64_t dim = operation.Dim("dim");
  const int64_t step = operation.Int("step");
  const Size start = operation.Has("start") ? operation.SizeOf("start") : Size{0, 0};
  const Size end = operation.Has("end") ? operation.SizeOf("end") : Size{kToTheEnd, kToTheEnd};
  const std::string self = operation.Input("self");
  if (operation.ShapeOf("self") == operation.ResultShape() && step == 1) return operation.SetResult(self);
  operation.SetResult(Slice(&operation, self, dim, graph.Sizes({start}), graph.Sizes({end}), step));
}

void TranslateNarrow(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const Size start = operation.SizeOf("start"), length = operation.SizeOf("length");
  if (start.first < 0) operation.Refuse("a negative start is not supported");
  const Size end = {start.first + length.first, start.second + length.second};
  operation.SetResult(
      Slice(&operation, operation.Input("self"), operation.Dim("dim"), graph.Sizes({start}), graph.Sizes({end})));
}

void TranslateSelect(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  operation.SetResult(graph.Emit("Gather", {operation.Input("self"), graph.Index(operation.Int("index"))},
                                 {{"axis", operation.Dim("dim")}}));
}

void TranslateIndexSelect(Operation &operation, const char * /*onnx*/) {
  operation.SetResult(operation.graph().Emit("Gather", {operation.Input("self"), operation.Input("index")},
                                             {{"axis", operation.Dim("dim")}}));
}

void TranslateGather(Operation &operation, const char * /*onnx*/) {
  operation.SetResult(operation.graph().Emit("GatherElements", {operation.Input("self"), operation.Input("index")},
                                             {{"axis", operation.Dim("dim")}}));
}

// self[:, indices]: one tensor of indices, along any dimension.
void TranslateIndex(Operation &operation, const char * /*onnx*/) {
  const std::vector<std::optional<std::string>> indices = operation.OptionalInputs("indices");
  std::string result = operation.Input("self");
  int used = 0;
  for (size_t i = 0; i < indices.size(); ++i) {
    if (!indices[i]) continue;
    if (++used > 1)
      operation.Refuse("indices for more than one dimension are not supported: index one after the other");
    result = operation.graph().Emit("Gather", {result, *indices[i]}, {{"axis", static_cast<int64_t>(i)}});
  }
  operation.SetResult(result);
}

void TranslateFlip(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  std::string result = operation.Input("self");
  const int64_t rank = operation.Rank("self");
  for (const int64_t dim : operation.Ints("dims")) {
    result = Slice(&operation, result, Operation::FromFront(dim, rank), graph.Ints({-1}),
                   graph.Ints({std::numeric_limits<int64_t>::min()}), -1);
  }
  operation.SetResult(result);
}

void TranslateRoll(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const std::vector<int64_t> shifts = operation.Ints("shifts"), dims = operation.Ints("dims");
  if (dims.size() != shifts.size()) operation.Refuse("it must name a dimension for each shift");
  std::string result = operation.Input("self");
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t dim = Operation::FromFront(dims[i], operation.Rank("self"));
    const int64_t size = operation.FixedSize("self", dim);
    const int64_t cut = ((size - shifts[i]) % size + size) % size;  // the first element of the result
    if (cut == 0) continue;
    const std::string end = graph.Ints({std::numeric_limits<int64_t>::max()});
    const std::string tail = Slice(&operation, result, dim, graph.Ints({cut}), end);
    const std::string head = Slice(&operation, result, dim, graph.Ints({0}), graph.Ints({cut}));
    result = graph.Emit("Concat", {tail, head}, {{"axis", dim}});
  }
  operation.SetResult(result);
}

// PyTorch names pairs from the last dimension to the front; ONNX all starts, then all ends.
void TranslatePad(Operation &operation, const char *onnx) {
  GraphBuilder &graph = operation.graph();
  const std::vector<int64_t> given = operation.Ints(operation.Has("pad") ? "pad" : "padding");
  const auto rank = operation.Rank("self");
  std::vector<int64_t> pads(Place(2 * rank), 0);
  for (size_t i = 0; i < given.size() / 2; ++i) {
    const size_t dim = Place(rank) - 1 - i;
    pads[dim] = given[2 * i];
    pads[Place(rank) + dim] = given[2 * i + 1];
  }
  std::string mode = onnx != nullptr ? onnx : operation.Text("mode");
  if (mode == "replicate") mode = "edge";
  if (mode == "circular") operation.Refuse("circular padding is not supported");
  std::vector<std::string> inputs = {operation.Input("self"), graph.Ints(pads)};
  if (mode == "constant") inputs.push_back(graph.Scalar(operation.Number("value", 0), operation.ResultType()));
  operation.SetResult(graph.Emit("Pad", inputs, {{"mode", mode}}));
}

void TranslatePixelShuffle(Operation &operation, const char * /*onnx*/) {
  if (operation.Rank("self") != 4) operation.Refuse("only batches of images are supported");
  operation.SetResult(
      operation.graph().Emit("DepthToSpace", {operation.Input("self")},
                             {{"blocksize", operation.Int("upscale_factor")}, {"mode", std::string("CRD")}}));
}

void TranslatePixelUnshuffle(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const Shape shape = operation.ShapeOf("self");
  if (shape.size() != 4 || !shape[2].fixed() || !shape[3].fixed())
    operation.Refuse("only batches of images are supported");
  const int64_t factor = operation.Int("downscale_factor");
  const auto size = [](int64_t number) { return Size{number, number}; };
  const std::string blocks = graph.Reshape(
      operation.Input("self"),
      {shape[0], shape[1], size(shape[2].first / factor), size(factor), size(shape[3].first / factor), size(factor)});
  operation.SetResult(graph.Reshape(graph.Transpose(blocks, {0, 1, 3, 5, 2, 4}), operation.ResultShape()));
}

void TranslateChannelShuffle(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const Shape shape = operation.ShapeOf("self");
  const int64_t groups = operation.Int("groups"), channels = operation.FixedSize("self", 1);
  Shape grouped = {shape[0], {groups, groups}, {channels / groups, channels / groups}};
  grouped.insert(grouped.end(), shape.begin() + 2, shape.end());
  std::vector<int64_t> order = Counting(static_cast<int64_t>(grouped.size()));
  std::swap(order[1], order[2]);
  operation.SetResult(
      graph.Reshape(graph.Transpose(graph.Reshape(operation.Input("self"), grouped), order), operation.ResultShape()));
}

void TranslateTriangle(Operation &operation, const char *onnx) {
  GraphBuilder &graph = operation.graph();
  if (operation.opset() < 14) operation.Refuse("it needs opset 14 or newer");
  operation.SetResult(graph.Emit("Trilu", {operation.Input("self"), graph.Index(operation.Int("diagonal"))},
                                 {{"upper", static_cast<int64_t>(onnx != nullptr)}}));
}

}  // namespace trainyard::onnx
