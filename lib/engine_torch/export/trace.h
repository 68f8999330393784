// A model as a straight line of operators: what LibTorch's tracer records of one run, and what of it depends on the
// number of images. Thread rule: Trace works on any thread, one model on one thread at a time; a TracedModel is
// constant once made.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

// LibTorch's headers of these take long to compile.
namespace c10 {
struct IValue;
}  // namespace c10
namespace torch::jit {
struct Graph;
struct Node;
struct Value;
}  // namespace torch::jit

namespace trainyard::onnx {

// From a batch of inputs to what the model returns.
using Forward = std::function<c10::IValue(const at::Tensor &)>;

struct TraceRequest {
  Forward forward;
  std::vector<int64_t> input_shape;  // of one item: {3, 224, 224}
  at::ScalarType input_type = at::kFloat;
  // Items that the model takes at once; nullopt = any number.
  std::optional<int64_t> batch_size;
  // The model is a program of somebody else's: LibTorch's fused inference kernels are kept out of the trace, and the
  // trace is run with other inputs to see that it computes what the model does.
  bool is_script = false;
};

// A size in two runs of different batch sizes; the same number twice when it depends on something else.
struct Size {
  int64_t first = 0;
  int64_t second = 0;

  bool fixed() const { return first == second; }
  bool operator==(const Size &other) const { return first == other.first && second == other.second; }
};
using Shape = std::vector<Size>;

class TracedModel {
 public:
  // The batch sizes of the two runs. With one batch size only both are that.
  static constexpr int64_t kFirstBatch = 2;
  static constexpr int64_t kSecondBatch = 3;

  const torch::jit::Graph &graph() const { return *graph_; }
  // The tensors that the model returns, in order.
  const std::vector<const torch::jit::Value *> &outputs() const { return outputs_; }

  // Of a tensor that is no constant.
  Shape ShapeOf(const torch::jit::Value *value) const;
  at::ScalarType TypeOf(const torch::jit::Value *value) const;
  // Of an integer constant.
  Size SizeOf(const torch::jit::Value *value) const;
  // Whether a constant was the same in both runs.
  bool Varies(const torch::jit::Value *constant) const { return varying_.count(constant) > 0; }
  // The line that an operator comes from: "torchvision/models/resnet.py:268 in forward". Of TorchScript alone; else "".
  std::string SourceOf(const torch::jit::Node *node) const;

 private:
  friend TracedModel Trace(const TraceRequest &request);
  void Compare(const torch::jit::Graph &second);
  void CompareConstants(const torch::jit::Value *first, const torch::jit::Value *second);

  std::shared_ptr<torch::jit::Graph> graph_;
  std::vector<const torch::jit::Value *> outputs_;
  std::unordered_map<const torch::jit::Value *, std::vector<int64_t>> second_shapes_;
  // The constants that were not the same, with what integers were in the second run.
  std::unordered_map<const torch::jit::Value *, std::optional<int64_t>> varying_;
  std::unordered_map<const torch::jit::Node *, std::string> sources_;
};

// Runs the model twice (once for a fixed batch size) and compares. The model's parameters must not require gradients.
// Throws kUnsupported when its operators, not just sizes, depend on the batch size, when the trace computes something
// else than the model, or when it returns anything but tensors; and what the model throws (c10::Error).
TracedModel Trace(const TraceRequest &request);

}  // namespace trainyard::onnx
