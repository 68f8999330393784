#include "engine_torch/export/lower.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/jit/ir/constants.h>

#include <algorithm>
#include <utility>

#include "engine_torch/export/operators.h"
#include "engine_torch/export/values.h"
#include "util/error.h"
#include "util/text.h"

namespace trainyard::onnx {
namespace {

namespace jit = torch::jit;

class Lowering {
 public:
  Lowering(const TracedModel &trace, GraphBuilder *graph) : trace_(trace), graph_(graph) {}

  Lowered Run(const std::string &input) {
    values_.names[trace_.graph().inputs()[0]] = input;
    for (const jit::Node *node : trace_.graph().nodes()) Visit(*node);
    Lowered result;
    for (const jit::Value *output : trace_.outputs()) result.outputs.push_back(NameOfOutput(output));
    result.operators = std::move(operators_);
    return result;
  }

 private:
  void Visit(const jit::Node &node) {
    if (IsMemory(node)) return;
    if (node.kind() == c10::prim::Constant) {
      if (!trace_.Varies(node.output())) values_.constants[node.output()] = *jit::toIValue(node.output());
    } else if (IsComputable(node)) {
      Compute(node);
    } else if (node.kind() != c10::prim::ListConstruct && node.kind() != c10::prim::ListUnpack) {
      Translate(node);
    }  // lists are looked into by the operators that take or return them
  }

  // Memory without values. What fills it is traced as a new tensor of its shape (full_like for fill_), and needs
  // nothing else of it. Refuses values that were written where a trace does not see it.
  bool IsMemory(const jit::Node &node) {
    const std::string_view name = node.kind().toQualString();
    if (!name.starts_with("aten::empty") && !name.starts_with("aten::new_empty")) return false;
    const bool filled =
        std::all_of(node.output()->uses().begin(), node.output()->uses().end(), [](const jit::Use &use) {
          const std::string_view user = use.user->kind().toQualString();
          return user == "aten::full_like" || user == "aten::zeros_like" || user == "aten::ones_like";
        });
    if (filled) return true;
    Operation(node, trace_, &values_, graph_)
        .Refuse(
            "its values are set where they cannot be followed: make the tensor in __init__ and keep it as a buffer");
  }

  bool IsComputable(const jit::Node &node) const {
    return !node.isNondeterministic() &&
           std::all_of(node.inputs().begin(), node.inputs().end(),
                       [&](const jit::Value *input) { return values_.constants.count(input) > 0; });
  }

  // Also runs operators that change constants in place, in their order.
  void Compute(const jit::Node &node) {
    jit::Stack stack;
    for (const jit::Value *input : node.inputs()) stack.push_back(values_.constants.at(input));
    if (node.kind() == c10::prim::ListConstruct) {
      c10::impl::GenericList list(node.output()->type()->expectRef<c10::ListType>().getElementType());
      for (const c10::IValue &element : stack) list.push_back(element);
      stack = {list};
    } else if (node.kind() == c10::prim::ListUnpack) {
      stack = stack.back().toListRef().vec();
    } else {
      node.getOperation()(stack);
    }
    for (size_t i = 0; i < node.outputs().size(); ++i) values_.constants[node.outputs()[i]] = stack.at(i);
  }

  void Translate(const jit::Node &node) {
    Operation operation(node, trace_, &values_, graph_);
    const std::string name = operation.name();
    const Operator *found = FindOperator(name);
    if (found != nullptr && node.maybeSchema() != nullptr) {
      operators_.insert(name);
      return found->translate(operation, found->onnx);
    }
    std::vector<std::string> known;
    for (const Operator &row : Operators()) known.emplace_back(row.name);
    const std::string nearest = NearestOf(name, known);
    if (name.ends_with('_') && !name.ends_with("__"))
      operation.Refuse(
          "it changes a tensor in place, and other tensors share its memory: write the result to a new tensor");
    operation.Refuse("cannot be exported to ONNX: express it by other operators" +
                     (nearest.empty() ? "" : " (the nearest that can is " + nearest + ")") +
                     ", or leave it out of the exported module");
  }

  std::string NameOfOutput(const jit::Value *output) {
    const auto constant = values_.constants.find(output);
    if (constant == values_.constants.end()) return values_.names.at(output);
    if (!constant->second.isTensor()) throw Error(Status::kUnsupported, "the model returns what is no tensor");
    return graph_->Tensor(constant->second.toTensor());
  }

  const TracedModel &trace_;
  GraphBuilder *graph_;
  Values values_;
  std::set<std::string> operators_;
};

}  // namespace

Lowered Lower(const TracedModel &trace, const std::string &input, GraphBuilder *graph) {
  const at::NoGradGuard no_grad;
  return Lowering(trace, graph).Run(input);
}

}  // namespace trainyard::onnx
