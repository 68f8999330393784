// An ONNX graph that grows node by node. Knows nothing of traces and operators of PyTorch. Thread rule: one thread at a
// time.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine_torch/export/onnx_writer.h"
#include "engine_torch/export/trace.h"

namespace trainyard::onnx {

// Throws kUnsupported for types that ONNX graphs of this kind do not hold.
DataType DataTypeOf(at::ScalarType type);

class GraphBuilder {
 public:
  // `batch_input` is the graph's input whose first dimension is the batch size; `parameters` are the model's, by their
  // names in its state_dict.
  GraphBuilder(int64_t opset, std::string batch_input,
               const std::vector<std::pair<std::string, at::Tensor>> &parameters);

  int64_t opset() const { return opset_; }
  // The module whose parameters were used last: "layer1.0.conv2"; "" at the start.
  const std::string &last_module() const { return last_module_; }
  // What is emitted from here on belongs to another operation.
  void BeginOperation() { scope_.clear(); }

  // Adds a node with one output and returns its name.
  std::string Emit(const std::string &op, std::vector<std::string> inputs, std::vector<Attribute> attributes = {});
  // With `count` outputs.
  std::vector<std::string> EmitMany(const std::string &op, std::vector<std::string> inputs, size_t count,
                                    std::vector<Attribute> attributes = {});

  // Constants. A parameter of the model keeps its name; the same constant is stored once.
  std::string Tensor(const at::Tensor &tensor);
  bool IsParameter(const at::Tensor &tensor) const;
  std::string Ints(const std::vector<int64_t> &values);   // [n] int64
  std::string Index(int64_t value);                       // [] int64
  std::string Scalar(double value, at::ScalarType type);  // []
  std::string Filled(at::IntArrayRef shape, double value, at::ScalarType type);

  // Sizes as a 1-D int64 tensor, computed from the batch size where they depend on it.
  std::string Sizes(const Shape &shape);
  std::string Reshape(const std::string &input, const Shape &to);
  std::string Transpose(const std::string &input, const std::vector<int64_t> &order);
  std::string Cast(const std::string &input, at::ScalarType type);
  // `onnx`: "ReduceMean" and its like.
  std::string Reduce(const std::string &onnx, const std::string &input, const std::vector<int64_t> &axes,
                     bool keep_dimensions);
  // Repeats dimensions of 1, and adds leading ones.
  std::string Expand(const std::string &input, const Shape &from, const Shape &to);

  // Gives a value the name that users of the file see, or one near it that is free.
  std::string NameOutput(const std::string &output, const std::string &wanted);
  // The graph's nodes and constants without those that lead to none of `outputs`.
  void Finish(const std::vector<std::string> &outputs, Model *model);

 private:
  std::string Store(const std::string &name, const at::Tensor &tensor);
  std::string UniqueName(const std::string &wanted);

  int64_t opset_;
  std::string batch_input_;
  std::map<std::pair<const void *, std::vector<int64_t>>, std::string> parameters_;
  std::unordered_set<std::string> parameter_names_;
  std::vector<Node> nodes_;
  std::vector<Initializer> initializers_;
  std::unordered_map<std::string, std::string> stored_;  // content or identity -> name
  std::unordered_map<std::string, int> used_names_;
  std::unordered_map<std::string, std::string> outputs_;  // what was named, and how
  std::string batch_size_;                                // the name of the [1] tensor that holds it, once there is one
  std::string scope_;
  std::string last_module_;
};

}  // namespace trainyard::onnx
