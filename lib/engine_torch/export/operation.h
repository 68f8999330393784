// One operator of a trace, as the code that translates it sees it: its arguments by the names of its schema, its
// results, and the ONNX graph to add to. Thread rule: one thread at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine_torch/export/graph_builder.h"
#include "engine_torch/export/trace.h"

namespace trainyard::onnx {

struct Values;  // what the values of the trace have become: values.h

class Operation {
 public:
  Operation(const torch::jit::Node &node, const TracedModel &trace, Values *values, GraphBuilder *graph);

  std::string name() const;  // "aten::relu"
  GraphBuilder &graph() { return *graph_; }
  int64_t opset() const { return graph_->opset(); }

  // Whether there is such an argument, and it is not None.
  bool Has(const char *argument) const;
  bool Bool(const char *argument) const;
  int64_t Int(const char *argument) const;
  double Number(const char *argument) const;
  double Number(const char *argument, double fallback) const { return Has(argument) ? Number(argument) : fallback; }
  std::string Text(const char *argument) const;
  std::vector<int64_t> Ints(const char *argument) const;
  std::vector<double> Numbers(const char *argument) const;
  // One number for each of `count` dimensions; a single one stands for all. `fallback` when the list is empty.
  std::vector<int64_t> Ints(const char *argument, size_t count, const std::vector<int64_t> &fallback = {}) const;
  // An integer that may depend on the batch size.
  Size SizeOf(const char *argument) const;
  // A dimension, counted from the front.
  int64_t Dim(const char *argument) const { return FromFront(Int(argument), Rank("self")); }

  // Tensors. With a type: converted when it is another, and a number becomes a tensor.
  std::string Input(const char *argument);
  std::string Input(const char *argument, at::ScalarType type);
  std::vector<std::string> Inputs(const char *argument, at::ScalarType type);  // of a list
  std::vector<Shape> ShapesOf(const char *argument) const;                     // of a list
  // The elements of a list of optional tensors; nothing for None.
  std::vector<std::optional<std::string>> OptionalInputs(const char *argument);
  const at::Tensor &ConstantTensor(const char *argument) const;
  // Those of a list, to be changed before they are stored. Says that they must be constants otherwise.
  std::vector<at::Tensor> ConstantTensors(const char *argument) const;
  bool IsNumber(const char *argument) const;  // not a tensor
  bool IsConstant(const char *argument) const;
  Shape ShapeOf(const char *argument) const;
  int64_t Rank(const char *argument) const { return static_cast<int64_t>(ShapeOf(argument).size()); }
  at::ScalarType TypeOf(const char *argument) const;
  // Sizes that must not depend on the batch size.
  int64_t FixedSize(const char *argument, int64_t dim) const;

  size_t result_count() const;
  bool IsUsed(size_t result) const;
  Shape ResultShape(size_t result = 0) const;
  at::ScalarType ResultType(size_t result = 0) const;
  void SetResult(const std::string &name, size_t result = 0);
  // For operators that return a list: the sizes along `dim` of the tensors in it, and their names.
  std::vector<int64_t> ListSizes(int64_t dim) const;
  void SetListResult(const std::vector<std::string> &names);

  // Throws kUnsupported: names the operator, where it is, and `why`.
  [[noreturn]] void Refuse(const std::string &why) const;

  static int64_t FromFront(int64_t dim, int64_t rank) { return dim < 0 ? dim + rank : dim; }

 private:
  const torch::jit::Value *Find(const char *argument) const;
  const torch::jit::Value *Get(const char *argument) const;
  const c10::IValue &Constant(const char *argument) const;
  // The elements of a list that the trace puts together.
  std::vector<const torch::jit::Value *> Elements(const char *argument) const;
  const torch::jit::Node &Unpacking() const;
  std::string NameOf(const torch::jit::Value *value);
  Shape ShapeOfValue(const torch::jit::Value *value) const;
  at::ScalarType TypeOfValue(const torch::jit::Value *value) const;
  std::string Converted(const torch::jit::Value *value, at::ScalarType type);

  const torch::jit::Node &node_;
  const TracedModel &trace_;
  Values *values_;
  GraphBuilder *graph_;
};

}  // namespace trainyard::onnx
