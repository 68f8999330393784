// Products of matrices, attention, look-up, recurrent layers.
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>

#include <cmath>
#include <limits>

#include "engine_torch/export/operators.h"

namespace trainyard::onnx {
namespace {

std::string SwapLastTwo(GraphBuilder *graph, const std::string &input, size_t rank) {
  std::vector<int64_t> order;
  for (size_t i = 0; i < rank; ++i) order.push_back(static_cast<int64_t>(i));
  std::swap(order[rank - 1], order[rank - 2]);
  return graph->Transpose(input, order);
}

// What the scores of attention get added, or nothing.
struct Mask {
  std::string name;
  bool allows = false;  // logical: where to look, rather than numbers to add
};

// softmax(query key^T * scale + mask) value
std::string Attend(GraphBuilder *graph, const std::string &query, const std::string &transposed_key,
                   const std::string &value, double scale, const Mask &mask, at::ScalarType type) {
  const std::string scaled = graph->Emit("Mul", {query, graph->Scalar(scale, type)});
  std::string scores = graph->Emit("MatMul", {scaled, transposed_key});
  if (!mask.name.empty() && mask.allows) {
    scores = graph->Emit("Where", {mask.name, scores, graph->Scalar(-std::numeric_limits<double>::infinity(), type)});
  } else if (!mask.name.empty()) {
    scores = graph->Emit("Add", {scores, mask.name});
  }
  return graph->Emit("MatMul", {graph->Emit("Softmax", {scores}, {{"axis", int64_t{-1}}}), value});
}

// x [.., in] times weight [out, in], plus bias
std::string Linear(GraphBuilder *graph, const std::string &input, size_t rank, const std::string &weight,
                   const std::string &bias) {
  if (rank == 2) {
    std::vector<std::string> inputs = {input, weight};
    if (!bias.empty()) inputs.push_back(bias);
    return graph->Emit("Gemm", inputs, {{"transB", int64_t{1}}});
  }
  // The weight keeps its name and shape; runtimes transpose constants once, when they load.
  const std::string product = graph->Emit("MatMul", {input, graph->Transpose(weight, {1, 0})});
  return bias.empty() ? product : graph->Emit("Add", {product, bias});
}

// PyTorch and ONNX stack the gates' weights in another order: of four (input, forget, cell, output) ONNX has input,
// output, forget, cell; of three (reset, update, new) it has update, reset, new.
at::Tensor InOnnxOrder(const at::Tensor &weights, int64_t gates) {
  const std::vector<at::Tensor> parts = weights.chunk(gates, 0);
  if (gates == 4) return at::cat({parts[0], parts[3], parts[1], parts[2]}, 0);
  return at::cat({parts[1], parts[0], parts[2]}, 0);
}

// One recurrent operator of the trace, layer by layer.
class RecurrentLayers {
 public:
  RecurrentLayers(Operation *operation, const char *onnx)
      : operation_(*operation),
        graph_(operation->graph()),
        onnx_(onnx),
        has_cell_(std::string_view(onnx) == "LSTM"),
        gates_(has_cell_ ? 4 : 3),
        directions_(operation->Bool("bidirectional") ? 2 : 1),
        weights_(operation->ConstantTensors("params")),
        per_direction_(operation->Bool("has_biases") ? 4 : 2) {}

  void Translate() {
    if (!operation_.Has("num_layers")) operation_.Refuse("packed sequences are not supported");
    if (operation_.Bool("train") && operation_.Number("dropout") > 0)
      operation_.Refuse("it drops values out, as in training: switch it off in the module with eval()");
    const auto layers = static_cast<size_t>(operation_.Int("num_layers"));
    if (weights_.size() != layers * directions_ * per_direction_) operation_.Refuse("projections are not supported");
    const bool batch_first = operation_.Bool("batch_first");
    const Shape shape = operation_.ShapeOf("input");
    if (shape.size() != 3) operation_.Refuse("the input must have a batch dimension");
    steps_ = shape[batch_first ? 1 : 0];
    batch_ = shape[batch_first ? 0 : 1];
    ReadStates();
    std::string sequence = operation_.Input("input");
    if (batch_first) sequence = graph_.Transpose(sequence, {1, 0, 2});
    std::vector<std::string> last_hidden, last_cell;
    for (size_t layer = 0; layer < layers; ++layer) {
      const std::vector<std::string> outputs = Layer(sequence, layer);
      const auto width = static_cast<int64_t>(directions_) * hidden_;
      // [steps, directions, batch, hidden] -> [steps, batch, directions * hidden]
      sequence = graph_.Reshape(graph_.Transpose(outputs[0], {0, 2, 1, 3}), {steps_, batch_, {width, width}});
      last_hidden.push_back(outputs[1]);
      if (has_cell_) last_cell.push_back(outputs[2]);
    }
    operation_.SetResult(batch_first ? graph_.Transpose(sequence, {1, 0, 2}) : sequence, 0);
    operation_.SetResult(graph_.Emit("Concat", last_hidden, {{"axis", int64_t{0}}}), 1);
    if (has_cell_) operation_.SetResult(graph_.Emit("Concat", last_cell, {{"axis", int64_t{0}}}), 2);
  }

 private:
  void ReadStates() {
    hidden_ = weights_.at(0).size(0) / gates_;
    if (has_cell_) {
      states_ = operation_.Inputs("hx", operation_.ResultType());
    } else {
      states_ = {operation_.Input("hx")};
    }
  }

  std::vector<std::string> Layer(const std::string &sequence, size_t layer) {
    std::vector<at::Tensor> input, recurrent, bias;
    for (size_t direction = 0; direction < directions_; ++direction) {
      const size_t first = (layer * directions_ + direction) * per_direction_;
      input.push_back(InOnnxOrder(weights_[first], gates_));
      recurrent.push_back(InOnnxOrder(weights_[first + 1], gates_));
      if (per_direction_ == 4)
        bias.push_back(
            at::cat({InOnnxOrder(weights_[first + 2], gates_), InOnnxOrder(weights_[first + 3], gates_)}, 0));
    }
    std::vector<std::string> inputs = {sequence, graph_.Tensor(at::stack(input)), graph_.Tensor(at::stack(recurrent)),
                                       bias.empty() ? "" : graph_.Tensor(at::stack(bias)), ""};
    for (const std::string &state : states_) {
      const auto first = static_cast<int64_t>(layer * directions_);
      inputs.push_back(graph_.Emit(
          "Slice",
          {state, graph_.Ints({first}), graph_.Ints({first + static_cast<int64_t>(directions_)}), graph_.Ints({0})}));
    }
    std::vector<Attribute> attributes = {{"hidden_size", hidden_},
                                         {"direction", std::string(directions_ == 2 ? "bidirectional" : "forward")}};
    // PyTorch multiplies by the reset gate after the product with the weights.
    if (!has_cell_) attributes.push_back({"linear_before_reset", int64_t{1}});
    return graph_.EmitMany(onnx_, inputs, has_cell_ ? 3 : 2, attributes);
  }

  Operation &operation_;
  GraphBuilder &graph_;
  const char *onnx_;
  bool has_cell_;
  int64_t gates_;
  size_t directions_;
  std::vector<at::Tensor> weights_;  // per layer and direction: of the input, of the state, and both biases
  size_t per_direction_;
  Size steps_, batch_;
  int64_t hidden_ = 0;
  std::vector<std::string> states_;
};

}  // namespace

void TranslateLinear(Operation &operation, const char * /*onnx*/) {
  operation.SetResult(Linear(&operation.graph(), operation.Input("input"), operation.ShapeOf("input").size(),
                             operation.Input("weight"), operation.Has("bias") ? operation.Input("bias") : ""));
}

void TranslateMatMul(Operation &operation, const char * /*onnx*/) {
  const std::string other = operation.Input(operation.Has("mat2") ? "mat2" : "other");
  operation.SetResult(operation.graph().Emit("MatMul", {operation.Input("self"), other}));
}

// beta * self + alpha * (one matrix times the other)
void TranslateAddMm(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const double alpha = operation.Number("alpha"), beta = operation.Number("beta");
  if (operation.Has("mat1")) {
    // A linear layer: the weight stays as it is, and keeps its name.
    const bool constant = operation.IsConstant("mat2");
    const at::Tensor weight = constant ? operation.ConstantTensor("mat2").t() : at::Tensor();
    const bool transposed = constant && graph.IsParameter(weight);
    const std::string second = transposed ? graph.Tensor(weight) : operation.Input("mat2");
    return operation.SetResult(graph.Emit("Gemm", {operation.Input("mat1"), second, operation.Input("self")},
                                          {{"alpha", static_cast<float>(alpha)},
                                           {"beta", static_cast<float>(beta)},
                                           {"transB", int64_t{transposed ? 1 : 0}}}));
  }
  const auto times = [&](const std::string &input, double factor) {
    return factor == 1 ? input : graph.Emit("Mul", {input, graph.Scalar(factor, operation.ResultType())});
  };
  const std::string product = graph.Emit("MatMul", {operation.Input("batch1"), operation.Input("batch2")});
  operation.SetResult(graph.Emit("Add", {times(operation.Input("self"), beta), times(product, alpha)}));
}

void TranslateEinsum(Operation &operation, const char * /*onnx*/) {
  operation.SetResult(operation.graph().Emit("Einsum", operation.Inputs("tensors", operation.ResultType()),
                                             {{"equation", operation.Text("equation")}}));
}

void TranslateAttention(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const at::ScalarType type = operation.ResultType();
  if (operation.Number("dropout_p") > 0) operation.Refuse("it drops values out, as in training: switch that off");
  if (operation.Has("enable_gqa") && operation.Bool("enable_gqa"))
    operation.Refuse("shared keys (enable_gqa) are not supported");
  const double width = static_cast<double>(operation.FixedSize("query", -1));
  const double scale = operation.Number("scale", 1 / std::sqrt(width));
  Mask mask;
  if (operation.Has("attn_mask")) {
    mask.allows = operation.TypeOf("attn_mask") == at::kBool;
    mask.name = operation.Input("attn_mask");
  } else if (operation.Bool("is_causal")) {
    const at::Tensor square = at::ones({operation.FixedSize("query", -2), operation.FixedSize("key", -2)}, at::kBool);
    mask = {graph.Tensor(square.tril()), true};
  }
  const std::string key = SwapLastTwo(&graph, operation.Input("key"), operation.ShapeOf("key").size());
  operation.SetResult(Attend(&graph, operation.Input("query"), key, operation.Input("value"), scale, mask, type));
}

// The fused form that PyTorch's module runs without gradients: self-attention on [batch, length, width].
void TranslateMultiHeadAttention(Operation &operation, const char * /*onnx*/) {
  GraphBuilder &graph = operation.graph();
  const at::ScalarType type = operation.ResultType();
  if (operation.Has("mask"))
    operation.Refuse("a mask is not supported in this form: export the model without PyTorch's fast path");
  if (operation.IsUsed(1)) operation.Refuse("the weights of attention cannot be exported, only its result");
  const std::string query = operation.Input("query");
  if (operation.Input("key") != query || operation.Input("value") != query)
    operation.Refuse("only self-attention is supported in this form");
  const Shape shape = operation.ShapeOf("query");
  const int64_t width = operation.Int("embed_dim"), heads = operation.Int("num_head"), each = width / heads;
  const std::string projected = Linear(&graph, query, 3, operation.Input("qkv_weight"), operation.Input("qkv_bias"));
  std::vector<std::string> parts =
      graph.EmitMany("Split", {projected, graph.Ints({width, width, width})}, 3, {{"axis", int64_t{2}}});
  for (std::string &part : parts) part = graph.Reshape(part, {shape[0], shape[1], {heads, heads}, {each, each}});
  const std::string result =
      Attend(&graph, graph.Transpose(parts[0], {0, 2, 1, 3}), graph.Transpose(parts[1], {0, 2, 3, 1}),
             graph.Transpose(parts[2], {0, 2, 1, 3}), 1 / std::sqrt(static_cast<double>(each)), {}, type);
  const std::string joined = graph.Reshape(graph.Transpose(result, {0, 2, 1, 3}), shape);
  operation.SetResult(Linear(&graph, joined, 3, operation.Input("proj_weight"), operation.Input("proj_bias")));
}

void TranslateEmbedding(Operation &operation, const char * /*onnx*/) {
  operation.SetResult(operation.graph().Emit("Gather", {operation.Input("weight"), operation.Input("indices")},
                                             {{"axis", int64_t{0}}}));
}

void TranslateRecurrent(Operation &operation, const char *onnx) {
  RecurrentLayers(&operation, onnx).Translate();
}

}  // namespace trainyard::onnx
