#include "engine_torch/export/trace.h"

#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn_like.h>
#include <ATen/record_function.h>
#include <c10/util/Exception.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/runtime/interpreter.h>

#include "util/error.h"

namespace trainyard::onnx {
namespace {

namespace jit = torch::jit;

// Which line of a TorchScript program each traced operator comes from. The tracer knows of Python alone, so the
// interpreter's stack is looked at whenever an operator starts: what the tracer adds to its graph next belongs to that
// line. One at a time on a thread.
class SourceRecorder {
 public:
  SourceRecorder() {
    current = this;
    handle_ = at::addThreadLocalCallback(
        at::RecordFunctionCallback(&SourceRecorder::Start).scopes({at::RecordScope::FUNCTION}));
  }
  ~SourceRecorder() {
    at::removeCallback(handle_);
    current = nullptr;
  }
  SourceRecorder(const SourceRecorder &) = delete;
  SourceRecorder &operator=(const SourceRecorder &) = delete;

  // The source of each node of the graph that was traced.
  std::unordered_map<const jit::Node *, std::string> Sources(const jit::Graph &graph) const {
    std::unordered_map<const jit::Node *, std::string> sources;
    std::string source;
    const jit::Node *previous = graph.param_node();
    for (const jit::Node *node : graph.nodes()) {
      const auto found = after_.find(previous);
      if (found != after_.end()) source = found->second;
      sources[node] = source;
      previous = node;
    }
    return sources;
  }

 private:
  static std::unique_ptr<at::ObserverContext> Start(const at::RecordFunction & /*function*/) {
    const auto &state = jit::tracer::getTracingState();
    if (current == nullptr || state == nullptr) return nullptr;
    const std::vector<jit::StackEntry> stack = jit::currentCallstack();
    if (stack.empty()) return nullptr;
    // The list of nodes is a ring through the return node; an empty list starts at the parameters.
    const jit::Node *last = *state->graph->nodes().rbegin();
    if (last == state->graph->return_node()) last = state->graph->param_node();
    current->after_[last] = TextOf(stack.back());
    return nullptr;
  }

  static std::string TextOf(const jit::StackEntry &entry) {
    const auto python = entry.range.findSourceRangeThatGenerated();
    const auto place = (python ? *python : entry.range).file_line_col();
    if (!place) return "";
    return std::get<0>(*place) + ":" + std::to_string(std::get<1>(*place)) + " in " + entry.filename;
  }

  static thread_local SourceRecorder *current;

  at::CallbackHandle handle_ = 0;
  std::unordered_map<const jit::Node *, std::string> after_;
};
thread_local SourceRecorder *SourceRecorder::current = nullptr;

// A host's standard error is not for what LibTorch has to say about a trace.
class Quiet : public c10::WarningHandler {
 public:
  void process(const c10::Warning & /*warning*/) override {}
};

at::Tensor NewInput(const TraceRequest &request, int64_t batch) {
  std::vector<int64_t> shape = {batch};
  shape.insert(shape.end(), request.input_shape.begin(), request.input_shape.end());
  // Small whole numbers are indices of any table.
  if (!at::isFloatingType(request.input_type)) return at::ones(shape, request.input_type);
  return at::rand(shape, request.input_type);
}

// The tensors that a model returns: one, or those of a tuple or list; what is None (auxiliary heads) is left out.
void CollectTensors(const c10::IValue &value, jit::Stack *out) {
  if (value.isTensor()) {
    out->push_back(value);
  } else if (value.isTuple()) {
    for (const c10::IValue &element : value.toTupleRef().elements()) CollectTensors(element, out);
  } else if (value.isTensorList()) {
    for (const at::Tensor &element : value.toTensorVector()) out->emplace_back(element);
  } else if (!value.isNone()) {
    throw Error(Status::kUnsupported, "the model returns a " + value.tagKind() +
                                          ": an ONNX model returns tensors; wrap it in a module that returns a tensor "
                                          "or a tuple of tensors");
  }
}

struct Recording {
  std::shared_ptr<jit::Graph> graph;
  std::unordered_map<const jit::Node *, std::string> sources;
};

Recording Record(const TraceRequest &request, int64_t batch) {
  // Scripts choose fused kernels (attention) unless gradients are wanted. That the input asks for them is enough; it is
  // no leaf, because leaves must not be changed in place.
  const bool gradients = request.is_script && at::isFloatingType(request.input_type);
  const at::AutoGradMode mode(gradients);
  const jit::GraphOptimizerEnabledGuard plain(false);
  Quiet quiet;
  const c10::WarningUtils::WarningHandlerGuard handler(&quiet);
  at::Tensor input = NewInput(request, batch);
  if (gradients) input = input.set_requires_grad(true).clone();
  std::optional<SourceRecorder> recorder;
  if (request.is_script) recorder.emplace();
  const auto traced = jit::tracer::trace(
      {input},
      [&](const jit::Stack &inputs) {
        jit::Stack outputs;
        CollectTensors(request.forward(inputs.at(0).toTensor()), &outputs);
        return outputs;
      },
      [](const at::Tensor &) { return std::string(); }, /*strict=*/true, /*force_outplace=*/true);
  Recording recording{traced.first->graph, {}};
  if (recorder) recording.sources = recorder->Sources(*recording.graph);
  jit::EliminateDeadCode(recording.graph);
  return recording;
}

std::vector<int64_t> TensorShape(const jit::Value *value) {
  const auto type = value->type()->cast<c10::TensorType>();
  if (type == nullptr || !type->sizes().concrete_sizes()) return {};
  return *type->sizes().concrete_sizes();
}

Error DependsOnBatch(const std::string &what) {
  return {Status::kUnsupported,
          "the model cannot be exported for any batch size: " + what +
              " depends on the number of items; export with \"dynamic_batch\": false and the \"batch_size\" it is used "
              "with"};
}

bool SameTensor(const at::Tensor &a, const at::Tensor &b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  return (a.const_data_ptr() == b.const_data_ptr() && a.strides() == b.strides()) || at::equal(a, b);
}

bool SameConstant(const c10::IValue &a, const c10::IValue &b) {
  if (a.isTensor() && b.isTensor()) return SameTensor(a.toTensor(), b.toTensor());
  // NaN is not equal to itself, and no size.
  if (a.isDouble() && b.isDouble()) return a.toDouble() == b.toDouble() || a.toDouble() != a.toDouble();
  if (a.tagKind() != b.tagKind()) return false;
  const c10::IValue equal = a.equals(b);
  return equal.isBool() && equal.toBool();
}

// The trace on other inputs gives what the model gives on them.
void Check(const TraceRequest &request, const std::shared_ptr<jit::Graph> &graph, int64_t batch) {
  const at::NoGradGuard no_grad;
  const jit::GraphOptimizerEnabledGuard plain(false);
  Quiet quiet;
  const c10::WarningUtils::WarningHandlerGuard handler(&quiet);
  at::Tensor input = NewInput(request, batch);
  if (at::isFloatingType(request.input_type)) input = at::randn_like(input);
  jit::Stack wanted;
  CollectTensors(request.forward(input.clone()), &wanted);
  jit::Stack got = {input.clone()};
  jit::GraphExecutor(graph->copy(), "trace").run(got);
  bool same = wanted.size() == got.size();
  for (size_t i = 0; same && i < wanted.size(); ++i) {
    const at::Tensor a = wanted[i].toTensor(), b = got[i].toTensor();
    same = a.sizes() == b.sizes() && at::allclose(a.to(at::kDouble), b.to(at::kDouble), 1e-3, 1e-4, /*equal_nan=*/true);
  }
  if (same) return;
  throw Error(
      Status::kUnsupported,
      "the model does not always run the same operators: a branch or loop depends on the input's values, it "
      "draws random numbers, or it changes tensors through views; an ONNX file holds one sequence of operators");
}

}  // namespace

Shape TracedModel::ShapeOf(const jit::Value *value) const {
  const std::vector<int64_t> first = TensorShape(value);
  const auto found = second_shapes_.find(value);
  Shape shape;
  for (size_t i = 0; i < first.size(); ++i) {
    shape.push_back({first[i], found == second_shapes_.end() ? first[i] : found->second[i]});
  }
  return shape;
}

at::ScalarType TracedModel::TypeOf(const jit::Value *value) const {
  const auto type = value->type()->cast<c10::TensorType>();
  return type == nullptr ? at::ScalarType::Undefined : type->scalarType().value_or(at::ScalarType::Undefined);
}

Size TracedModel::SizeOf(const jit::Value *value) const {
  const auto found = varying_.find(value);
  if (found != varying_.end() && !found->second) throw DependsOnBatch("a constant");
  const int64_t first = jit::toIValue(value)->toInt();
  return {first, found == varying_.end() ? first : *found->second};
}

std::string TracedModel::SourceOf(const jit::Node *node) const {
  const auto found = sources_.find(node);
  return found == sources_.end() ? "" : found->second;
}

void TracedModel::CompareConstants(const jit::Value *first, const jit::Value *second) {
  const auto a = jit::toIValue(first), b = jit::toIValue(second);
  if (!a || !b || a->tagKind() != b->tagKind()) throw DependsOnBatch("the type of a constant");
  if (!SameConstant(*a, *b)) varying_[first] = b->isInt() ? std::optional(b->toInt()) : std::nullopt;
}

// Both graphs come from the same program: node for node they are the same, but for constants.
void TracedModel::Compare(const jit::Graph &second) {
  std::unordered_map<const jit::Value *, const jit::Value *> pairs = {{graph_->inputs()[0], second.inputs()[0]}};
  auto b = second.nodes().begin();
  for (const jit::Node *a : graph_->nodes()) {
    const std::string name = a->kind().toQualString();
    if (b == second.nodes().end() || b->kind() != a->kind() || a->inputs().size() != b->inputs().size() ||
        a->outputs().size() != b->outputs().size()) {
      throw DependsOnBatch("whether " + name + " runs");
    }
    for (size_t i = 0; i < a->inputs().size(); ++i) {
      if (pairs.at(a->inputs()[i]) != b->inputs()[i]) throw DependsOnBatch("what " + name + " takes");
    }
    if (a->kind() == c10::prim::Constant) CompareConstants(a->output(), b->output());
    for (size_t i = 0; i < a->outputs().size(); ++i) {
      pairs[a->outputs()[i]] = b->outputs()[i];
      second_shapes_[a->outputs()[i]] = TensorShape(b->outputs()[i]);
      if (second_shapes_[a->outputs()[i]].size() != TensorShape(a->outputs()[i]).size())
        throw DependsOnBatch("the rank of a result of " + name);
    }
    ++b;
  }
  if (b != second.nodes().end()) throw DependsOnBatch(std::string("whether ") + b->kind().toQualString() + " runs");
  second_shapes_[graph_->inputs()[0]] = TensorShape(second.inputs()[0]);
  for (size_t i = 0; i < graph_->outputs().size(); ++i) {
    if (pairs.at(graph_->outputs()[i]) != second.outputs()[i]) throw DependsOnBatch("which tensor is returned");
  }
}

TracedModel Trace(const TraceRequest &request) {
  const int64_t batch = request.batch_size.value_or(TracedModel::kFirstBatch);
  TracedModel model;
  Recording first = Record(request, batch);
  model.graph_ = first.graph;
  model.sources_ = std::move(first.sources);
  for (const jit::Value *output : first.graph->outputs()) model.outputs_.push_back(output);
  if (model.outputs_.empty()) throw Error(Status::kUnsupported, "the model returns no tensor");
  if (request.is_script) Check(request, model.graph_, batch);
  if (!request.batch_size) model.Compare(*Record(request, TracedModel::kSecondBatch).graph);
  return model;
}

}  // namespace trainyard::onnx
