// Convolutions, pooling, normalisation, resizing of images.
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "engine_torch/export/operators.h"

namespace trainyard::onnx {
namespace {

// How a window moves over the last dimensions.
struct Window {
  std::vector<int64_t> kernel, stride, padding, dilation;
  std::vector<int64_t> end_padding;  // what the trace's result needs, less or more than `padding` when rounded up
};

std::vector<Attribute> AttributesOf(const Window &window, bool with_dilation) {
  std::vector<int64_t> pads = window.padding;
  pads.insert(pads.end(), window.end_padding.begin(), window.end_padding.end());
  std::vector<Attribute> attributes = {
      {"kernel_shape", window.kernel}, {"strides", window.stride}, {"pads", std::move(pads)}};
  if (with_dilation) attributes.push_back({"dilations", window.dilation});
  return attributes;
}

// The sizes of the last `count` dimensions, which a batch size never changes.
std::vector<int64_t> LastSizes(const Operation &operation, const Shape &shape, size_t count) {
  std::vector<int64_t> sizes;
  for (size_t i = shape.size() - count; i < shape.size(); ++i) {
    if (!shape[i].fixed()) operation.Refuse("the size of its images depends on the batch size");
    sizes.push_back(shape[i].first);
  }
  return sizes;
}

// The number of dimensions that "max_pool2d" works on: 2.
size_t Dimensions(const Operation &operation) {
  const std::string name = operation.name();
  const auto count = static_cast<size_t>(name[name.size() - 2] - '0');
  if (operation.ShapeOf("self").size() != count + 2)
    operation.Refuse("the input must have a batch and a channel dimension");
  return count;
}

// PyTorch rounds sizes up in another way than some runtimes do. So the padding at the end is the one with which sizes
// rounded down are those of the trace.
Window WindowOf(const Operation &operation, size_t count, bool with_dilation) {
  Window window;
  window.kernel = operation.Ints("kernel_size", count);
  window.stride = operation.Ints("stride", count, window.kernel);
  window.padding = operation.Ints("padding", count);
  window.dilation = with_dilation ? operation.Ints("dilation", count) : std::vector<int64_t>(count, 1);
  const std::vector<int64_t> in = LastSizes(operation, operation.ShapeOf("self"), count);
  const std::vector<int64_t> out = LastSizes(operation, operation.ResultShape(), count);
  for (size_t i = 0; i < count; ++i) {
    const int64_t reach = (out[i] - 1) * window.stride[i] + window.dilation[i] * (window.kernel[i] - 1) + 1;
    const int64_t floor_reach = in[i] + 2 * window.padding[i];
    window.end_padding.push_back(reach > floor_reach ? reach - in[i] - window.padding[i] : window.padding[i]);
  }
  return window;
}

// Weights [out, in] with which a product of matrices is the mean over PyTorch's adaptive windows.
at::Tensor AdaptiveWeights(int64_t in, int64_t out) {
  at::Tensor weights = at::zeros({out, in});
  for (int64_t i = 0; i < out; ++i) {
    const int64_t first = i * in / out, last = ((i + 1) * in + out - 1) / out;
    weights.select(0, i).slice(0, first, last).fill_(1.0 / static_cast<double>(last - first));
  }
  return weights;
}

// [C] as [C, 1, 1], to be broadcast along the second dimension of an input of `rank`.
std::string PerChannel(Operation *operation, const std::string &values, int64_t channels, int64_t rank) {
  Shape shape(static_cast<size_t>(rank - 1), Size{1, 1});
  shape[0] = {channels, channels};
  return operation->graph().Reshape(values, shape);
}

std::string InputOr(Operation *operation, const char *argument, int64_t count, double value) {
  if (operation->Has(argument)) return operation->Input(argument);
  return operation->graph().Filled({count}, value, operation->ResultType());
}

float Epsilon(const Operation &operation) {
  return static_cast<float>(operation.Number("eps"));
}

std::vector<int64_t> LastAxes(int64_t rank, size_t count) {
  std::vector<int64_t> axes;
  for (int64_t i = rank - static_cast<int64_t>(count); i < rank; ++i) axes.push_back(i);
  return axes;
}

}  // namespace

std::vector<int64_t> BothSides(const std::vector<int64_t> &padding) {
  std::vector<int64_t> pads = padding;
  pads.insert(pads.end(), padding.begin(), padding.end());
  return pads;
}

// Of padding='same' or 'valid': an odd pixel goes to the end.
std::vector<int64_t> PadsOfMode(Operation &operation, const std::vector<int64_t> &kernel) {
  const std::vector<int64_t> dilation = operation.Ints("dilation", kernel.size());
  std::vector<int64_t> pads(2 * kernel.size(), 0);
  if (operation.Text("padding") == "valid") return pads;
  for (size_t i = 0; i < kernel.size(); ++i) {
    const int64_t total = dilation[i] * (kernel[i] - 1);
    pads[i] = total / 2;
    pads[kernel.size() + i] = total - total / 2;
  }
  return pads;
}

void TranslateConvolution(Operation &operation, const char * /*onnx*/) {
  const size_t count = operation.ShapeOf("weight").size() - 2;
  if (operation.ShapeOf("input").size() != count + 2) operation.Refuse("the input must have a batch dimension");
  const bool named = operation.name() == "aten::_convolution_mode";
  const bool transposed = !named && operation.Bool("transposed");
  const std::vector<int64_t> kernel = LastSizes(operation, operation.ShapeOf("weight"), count);
  const std::vector<int64_t> pads = named ? PadsOfMode(operation, kernel) : BothSides(operation.Ints("padding", count));
  std::vector<Attribute> attributes = {{"kernel_shape", kernel},
                                       {"strides", operation.Ints("stride", count)},
                                       {"pads", pads},
                                       {"dilations", operation.Ints("dilation", count)},
                                       {"group", operation.Int("groups")}};
  if (transposed) attributes.push_back({"output_padding", operation.Ints("output_padding", count)});
  std::vector<std::string> inputs = {operation.Input("input"), operation.Input("weight")};
  if (operation.Has("bias")) inputs.push_back(operation.Input("bias"));
  operation.SetResult(operation.graph().Emit(transposed ? "ConvTranspose" : "Conv", inputs, attributes));
}

void TranslateMaxPool(Operation &operation, const char * /*onnx*/) {
  const Window window = WindowOf(operation, Dimensions(operation), /*with_dilation=*/true);
  operation.SetResult(operation.graph().Emit("MaxPool", {operation.Input("self")}, AttributesOf(window, true)));
}

void TranslateAveragePool(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  if (operation.Has("divisor_override")) operation.Refuse("a divisor of one's own is not supported");
  const size_t count = Dimensions(operation);
  Window window = WindowOf(operation, count, /*with_dilation=*/false);
  const bool padded = std::any_of(window.padding.begin(), window.padding.end(), [](int64_t size) { return size > 0; });
  bool count_padding = operation.Bool("count_include_pad") && padded;
  std::string input = operation.Input("self");
  if (count_padding && window.end_padding != window.padding) {
    // The padding counts, what rounding up adds to it does not: the padding is made part of the input.
    std::vector<int64_t> pads(2, 0);
    pads.insert(pads.end(), window.padding.begin(), window.padding.end());
    pads.insert(pads.end(), 2, 0);
    pads.insert(pads.end(), window.padding.begin(), window.padding.end());
    input = graph.Emit("Pad", {input, graph.Ints(pads)});
    for (size_t i = 0; i < count; ++i) window.end_padding[i] -= window.padding[i];
    std::fill(window.padding.begin(), window.padding.end(), 0);
    count_padding = false;
  }
  std::vector<Attribute> attributes = AttributesOf(window, false);
  attributes.push_back({"count_include_pad", static_cast<int64_t>(count_padding)});
  operation.SetResult(graph.Emit("AveragePool", {input}, attributes));
}

void TranslateAdaptiveAveragePool(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const size_t count = Dimensions(operation);
  const std::vector<int64_t> in = LastSizes(operation, operation.ShapeOf("self"), count);
  const std::vector<int64_t> out = LastSizes(operation, operation.ResultShape(), count);
  std::string result = operation.Input("self");
  if (in == out) return operation.SetResult(result);
  if (std::all_of(out.begin(), out.end(), [](int64_t size) { return size == 1; }))
    return operation.SetResult(graph.Emit("GlobalAveragePool", {result}));
  std::vector<int64_t> kernel;
  for (size_t i = 0; i < count; ++i) {
    if (in[i] % out[i] == 0) kernel.push_back(in[i] / out[i]);
  }
  if (kernel.size() == count)
    return operation.SetResult(graph.Emit("AveragePool", {result}, {{"kernel_shape", kernel}, {"strides", kernel}}));
  if (count == 3) operation.Refuse("its output size must divide its input size");
  // Windows of different sizes: the mean along a dimension is a product with a constant matrix.
  const size_t last = count - 1;
  const at::Tensor across = AdaptiveWeights(in[last], out[last]).t().contiguous();
  result = graph.Emit("MatMul", {result, graph.Tensor(across)});
  if (count == 2) result = graph.Emit("MatMul", {graph.Tensor(AdaptiveWeights(in[0], out[0])), result});
  operation.SetResult(result);
}

void TranslateAdaptiveMaxPool(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const size_t count = Dimensions(operation);
  if (operation.IsUsed(1)) operation.Refuse("the places of the maxima are not supported, only their values");
  const std::vector<int64_t> in = LastSizes(operation, operation.ShapeOf("self"), count);
  const std::vector<int64_t> out = LastSizes(operation, operation.ResultShape(), count);
  std::vector<int64_t> kernel;
  for (size_t i = 0; i < count; ++i) {
    if (in[i] % out[i] != 0) operation.Refuse("its output size must divide its input size");
    kernel.push_back(in[i] / out[i]);
  }
  operation.SetResult(
      graph.Emit("MaxPool", {operation.Input("self")}, {{"kernel_shape", kernel}, {"strides", kernel}}));
}

void TranslateBatchNorm(Operation &operation, const char * /*onnx*/) {
  if (operation.Bool("training") || !operation.Has("running_mean") || !operation.Has("running_var")) {
    operation.Refuse(
        "it normalises by the batch, as in training: switch that off in the module with eval(); a layer without "
        "running "
        "statistics cannot be exported");
  }
  const int64_t channels = operation.FixedSize("input", 1);
  operation.SetResult(operation.graph().Emit(
      "BatchNormalization",
      {operation.Input("input"), InputOr(&operation, "weight", channels, 1), InputOr(&operation, "bias", channels, 0),
       operation.Input("running_mean"), operation.Input("running_var")},
      {{"epsilon", Epsilon(operation)}}));
}

void TranslateInstanceNorm(Operation &operation, const char * /*onnx*/) {
  const int64_t channels = operation.FixedSize("input", 1);
  const std::string weight = InputOr(&operation, "weight", channels, 1),
                    bias = InputOr(&operation, "bias", channels, 0);
  std::vector<std::string> inputs = {operation.Input("input"), weight, bias};
  const bool own_statistics = operation.Bool("use_input_stats");
  if (!own_statistics) {
    inputs.push_back(operation.Input("running_mean"));
    inputs.push_back(operation.Input("running_var"));
  }
  operation.SetResult(operation.graph().Emit(own_statistics ? "InstanceNormalization" : "BatchNormalization", inputs,
                                             {{"epsilon", Epsilon(operation)}}));
}

// As the normalisation of `num_groups` instances; ONNX's own operator for it came late, and was replaced since.
void TranslateGroupNorm(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const at::ScalarType type = operation.ResultType();
  const Shape shape = operation.ShapeOf("input");
  const int64_t groups = operation.Int("num_groups"), channels = operation.FixedSize("input", 1);
  int64_t rest = channels / groups;
  for (const int64_t size : LastSizes(operation, shape, shape.size() - 2)) rest *= size;
  const std::string grouped = graph.Reshape(operation.Input("input"), {shape[0], {groups, groups}, {rest, rest}});
  const std::string normal =
      graph.Emit("InstanceNormalization", {grouped, graph.Filled({groups}, 1, type), graph.Filled({groups}, 0, type)},
                 {{"epsilon", Epsilon(operation)}});
  std::string result = graph.Reshape(normal, shape);
  const auto rank = static_cast<int64_t>(shape.size());
  if (operation.Has("weight"))
    result = graph.Emit("Mul", {result, PerChannel(&operation, operation.Input("weight"), channels, rank)});
  if (operation.Has("bias"))
    result = graph.Emit("Add", {result, PerChannel(&operation, operation.Input("bias"), channels, rank)});
  operation.SetResult(result);
}

void TranslateLayerNorm(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const at::ScalarType type = operation.ResultType();
  const std::vector<int64_t> normalised = operation.Ints("normalized_shape");
  const int64_t rank = operation.Rank("input");
  const std::string input = operation.Input("input");
  if (operation.opset() >= 17) {
    std::vector<std::string> inputs = {
        input, operation.Has("weight") ? operation.Input("weight") : graph.Filled(normalised, 1, type)};
    if (operation.Has("bias")) inputs.push_back(operation.Input("bias"));
    return operation.SetResult(
        graph.Emit("LayerNormalization", inputs,
                   {{"axis", rank - static_cast<int64_t>(normalised.size())}, {"epsilon", Epsilon(operation)}}));
  }
  const std::vector<int64_t> axes = LastAxes(rank, normalised.size());
  const std::string centred = graph.Emit("Sub", {input, graph.Reduce("ReduceMean", input, axes, true)});
  const std::string variance = graph.Reduce("ReduceMean", graph.Emit("Mul", {centred, centred}), axes, true);
  const std::string root =
      graph.Emit("Sqrt", {graph.Emit("Add", {variance, graph.Scalar(operation.Number("eps"), type)})});
  std::string result = graph.Emit("Div", {centred, root});
  if (operation.Has("weight")) result = graph.Emit("Mul", {result, operation.Input("weight")});
  if (operation.Has("bias")) result = graph.Emit("Add", {result, operation.Input("bias")});
  operation.SetResult(result);
}

void TranslateRmsNorm(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const at::ScalarType type = operation.ResultType();
  const std::vector<int64_t> axes = LastAxes(operation.Rank("input"), operation.Ints("normalized_shape").size());
  const std::string input = operation.Input("input");
  const std::string mean = graph.Reduce("ReduceMean", graph.Emit("Mul", {input, input}), axes, true);
  const double epsilon = operation.Number("eps", 1.1920928955078125e-07);  // PyTorch's: that of float32
  const std::string root = graph.Emit("Sqrt", {graph.Emit("Add", {mean, graph.Scalar(epsilon, type)})});
  std::string result = graph.Emit("Div", {input, root});
  if (operation.Has("weight")) result = graph.Emit("Mul", {result, operation.Input("weight")});
  operation.SetResult(result);
}

// `onnx` is Resize's mode.
void TranslateUpsample(Operation &operation, const char *onnx) {
  GraphBuilder &graph = operation.graph();
  const std::string mode = onnx;
  const char *input = operation.Has("self") ? "self" : "input";
  const bool corners = mode != "nearest" && operation.Bool("align_corners");
  std::vector<Attribute> attributes = {{"mode", mode}};
  if (mode == "nearest") {
    attributes.push_back({"coordinate_transformation_mode", std::string("asymmetric")});
    attributes.push_back({"nearest_mode", std::string("floor")});
  } else {
    attributes.push_back(
        {"coordinate_transformation_mode", std::string(corners ? "align_corners" : "pytorch_half_pixel")});
  }
  const std::vector<double> scales =
      operation.Has("scale_factors") ? operation.Numbers("scale_factors") : std::vector<double>();
  const std::vector<int64_t> in = LastSizes(operation, operation.ShapeOf(input), scales.size());
  const std::vector<int64_t> out = LastSizes(operation, operation.ResultShape(), scales.size());
  for (size_t i = 0; i < scales.size(); ++i) {
    if (static_cast<double>(in[i]) * scales[i] != static_cast<double>(out[i]))
      operation.Refuse("scale factors must give whole sizes: name the output size instead");
  }
  if (mode == "cubic") attributes.push_back({"cubic_coeff_a", -0.75f});
  operation.SetResult(
      graph.Emit("Resize", {operation.Input(input), "", "", graph.Sizes(operation.ResultShape())}, attributes));
}

}  // namespace trainyard::onnx
