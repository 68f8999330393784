#include "engine_torch/export/operation.h"

#include "engine_torch/export/values.h"
#include "util/error.h"

namespace trainyard::onnx {
namespace {

namespace jit = torch::jit;

Shape FixedShape(at::IntArrayRef sizes) {
  Shape shape;
  for (const int64_t size : sizes) shape.push_back({size, size});
  return shape;
}

}  // namespace

Operation::Operation(const jit::Node &node, const TracedModel &trace, Values *values, GraphBuilder *graph)
    : node_(node), trace_(trace), values_(values), graph_(graph) {
  graph_->BeginOperation();
}

std::string Operation::name() const {
  return node_.kind().toQualString();
}

void Operation::Refuse(const std::string &why) const {
  const std::string source = trace_.SourceOf(&node_);
  const std::string module = graph_->last_module();
  std::string where;
  if (!source.empty()) where += ", " + source;
  if (!module.empty()) where += ", after the module '" + module + "'";
  throw Error(Status::kUnsupported,
              "operator " + name() + (where.empty() ? "" : " (" + where.substr(2) + ")") + ": " + why,
              {{"operator", name()}, {"module", module}});
}

const jit::Value *Operation::Find(const char *argument) const {
  const auto &arguments = node_.schema().arguments();
  for (size_t i = 0; i < arguments.size() && i < node_.inputs().size(); ++i) {
    if (arguments[i].name() == argument) return node_.inputs()[i];
  }
  return nullptr;
}

const jit::Value *Operation::Get(const char *argument) const {
  const jit::Value *value = Find(argument);
  if (value == nullptr) Refuse(std::string("this form of it, without '") + argument + "', is not supported");
  return value;
}

bool Operation::Has(const char *argument) const {
  const jit::Value *value = Find(argument);
  if (value == nullptr) return false;
  const auto constant = values_->constants.find(value);
  return constant == values_->constants.end() ||
         !(constant->second.isNone() || (constant->second.isTensor() && !constant->second.toTensor().defined()));
}

const c10::IValue &Operation::Constant(const char *argument) const {
  const auto found = values_->constants.find(Get(argument));
  if (found == values_->constants.end())
    Refuse(std::string("its '") + argument + "' depends on the input or the batch size");
  return found->second;
}

const at::Tensor &Operation::ConstantTensor(const char *argument) const {
  return Constant(argument).toTensor();
}

bool Operation::Bool(const char *argument) const {
  return Constant(argument).toBool();
}

std::string Operation::Text(const char *argument) const {
  return Constant(argument).toStringRef();
}

std::vector<double> Operation::Numbers(const char *argument) const {
  return Constant(argument).toDoubleVector();
}

int64_t Operation::Int(const char *argument) const {
  const c10::IValue &value = Constant(argument);
  if (value.isTensor()) return value.toTensor().item<int64_t>();
  return value.isBool() ? static_cast<int64_t>(value.toBool()) : value.toInt();
}

double Operation::Number(const char *argument) const {
  const c10::IValue &value = Constant(argument);
  return value.isTensor() ? value.toTensor().item<double>() : value.toScalar().toDouble();
}

std::vector<int64_t> Operation::Ints(const char *argument) const {
  const c10::IValue &value = Constant(argument);
  if (value.isInt()) return {value.toInt()};
  return value.toIntVector();
}

std::vector<int64_t> Operation::Ints(const char *argument, size_t count, const std::vector<int64_t> &fallback) const {
  std::vector<int64_t> values = Has(argument) ? Ints(argument) : std::vector<int64_t>();
  if (values.empty()) values = fallback;
  if (values.size() == 1) values.assign(count, values[0]);
  if (values.size() != count) Refuse(std::string("its '") + argument + "' does not fit its input");
  return values;
}

Size Operation::SizeOf(const char *argument) const {
  const jit::Value *value = Get(argument);
  if (values_->constants.count(value) > 0) return {Int(argument), Int(argument)};
  if (trace_.Varies(value)) return trace_.SizeOf(value);
  Refuse(std::string("its '") + argument + "' depends on the input");
}

std::vector<const jit::Value *> Operation::Elements(const char *argument) const {
  const jit::Node *list = Get(argument)->node();
  if (list->kind() != c10::prim::ListConstruct)
    Refuse(std::string("its '") + argument + "' is no list of known length");
  return {list->inputs().begin(), list->inputs().end()};
}

std::string Operation::NameOf(const jit::Value *value) {
  const auto constant = values_->constants.find(value);
  if (constant != values_->constants.end()) {
    if (constant->second.isTensor()) return graph_->Tensor(constant->second.toTensor());
    Refuse("a tensor is expected, and it gets a " + constant->second.tagKind());
  }
  const auto name = values_->names.find(value);
  if (name == values_->names.end()) {
    Refuse(trace_.Varies(value) ? "a constant that it takes depends on the batch size: export with \"dynamic_batch\": "
                                  "false and the \"batch_size\" that the model is used with"
                                : "what it takes cannot be exported");
  }
  return name->second;
}

Shape Operation::ShapeOfValue(const jit::Value *value) const {
  const auto constant = values_->constants.find(value);
  if (constant == values_->constants.end()) return trace_.ShapeOf(value);
  return constant->second.isTensor() ? FixedShape(constant->second.toTensor().sizes()) : Shape();
}

at::ScalarType Operation::TypeOfValue(const jit::Value *value) const {
  const auto constant = values_->constants.find(value);
  if (constant != values_->constants.end()) {
    if (constant->second.isTensor()) return constant->second.toTensor().scalar_type();
    return constant->second.toScalar().type();
  }
  return trace_.TypeOf(value);
}

std::string Operation::Converted(const jit::Value *value, at::ScalarType type) {
  const auto constant = values_->constants.find(value);
  if (constant != values_->constants.end()) {
    if (!constant->second.isTensor()) return graph_->Scalar(constant->second.toScalar().toDouble(), type);
    const at::Tensor &tensor = constant->second.toTensor();
    return graph_->Tensor(tensor.scalar_type() == type ? tensor : tensor.to(type));
  }
  const std::string name = NameOf(value);
  return TypeOfValue(value) == type ? name : graph_->Cast(name, type);
}

std::string Operation::Input(const char *argument) {
  return NameOf(Get(argument));
}

std::string Operation::Input(const char *argument, at::ScalarType type) {
  return Converted(Get(argument), type);
}

std::vector<std::string> Operation::Inputs(const char *argument, at::ScalarType type) {
  std::vector<std::string> names;
  for (const jit::Value *value : Elements(argument)) names.push_back(Converted(value, type));
  return names;
}

std::vector<Shape> Operation::ShapesOf(const char *argument) const {
  std::vector<Shape> shapes;
  for (const jit::Value *value : Elements(argument)) shapes.push_back(ShapeOfValue(value));
  return shapes;
}

std::vector<std::optional<std::string>> Operation::OptionalInputs(const char *argument) {
  std::vector<std::optional<std::string>> names;
  for (const jit::Value *value : Elements(argument)) {
    const auto constant = values_->constants.find(value);
    const bool none =
        constant != values_->constants.end() && (constant->second.isNone() || !constant->second.toTensor().defined());
    if (none) {
      names.emplace_back();
    } else {
      if (TypeOfValue(value) != at::kLong && TypeOfValue(value) != at::kInt)
        Refuse("indices must be whole numbers; a mask is not supported");
      names.emplace_back(NameOf(value));
    }
  }
  return names;
}

std::vector<at::Tensor> Operation::ConstantTensors(const char *argument) const {
  std::vector<at::Tensor> tensors;
  for (const jit::Value *value : Elements(argument)) {
    const auto constant = values_->constants.find(value);
    if (constant == values_->constants.end() || !constant->second.isTensor())
      Refuse(std::string("its '") + argument + "' must be weights of the model, not computed from the input");
    tensors.push_back(constant->second.toTensor());
  }
  return tensors;
}

bool Operation::IsNumber(const char *argument) const {
  const auto constant = values_->constants.find(Get(argument));
  return constant != values_->constants.end() && !constant->second.isTensor();
}

bool Operation::IsConstant(const char *argument) const {
  return values_->constants.count(Get(argument)) > 0;
}

Shape Operation::ShapeOf(const char *argument) const {
  return ShapeOfValue(Get(argument));
}

at::ScalarType Operation::TypeOf(const char *argument) const {
  return TypeOfValue(Get(argument));
}

int64_t Operation::FixedSize(const char *argument, int64_t dim) const {
  const Shape shape = ShapeOf(argument);
  const Size size = shape.at(static_cast<size_t>(FromFront(dim, static_cast<int64_t>(shape.size()))));
  if (!size.fixed()) Refuse("it works along the dimension of the batch, whose size is not known");
  return size.first;
}

size_t Operation::result_count() const {
  return node_.outputs().size();
}

bool Operation::IsUsed(size_t result) const {
  return !node_.outputs()[result]->uses().empty();
}

Shape Operation::ResultShape(size_t result) const {
  return trace_.ShapeOf(node_.outputs()[result]);
}

void Operation::SetResult(const std::string &name, size_t result) {
  values_->names[node_.outputs()[result]] = name;
}

at::ScalarType Operation::ResultType(size_t result) const {
  return TypeOfValue(node_.outputs()[result]);
}

// The tracer unpacks each list that an operator returns.
const jit::Node &Operation::Unpacking() const {
  const auto &uses = node_.outputs()[0]->uses();
  if (uses.size() != 1 || uses[0].user->kind() != c10::prim::ListUnpack)
    Refuse("the list that it returns is used in a way that is not supported");
  return *uses[0].user;
}

std::vector<int64_t> Operation::ListSizes(int64_t dim) const {
  std::vector<int64_t> sizes;
  for (const jit::Value *output : Unpacking().outputs()) {
    const Size size = trace_.ShapeOf(output).at(static_cast<size_t>(dim));
    if (!size.fixed()) Refuse("it splits the batch, whose size is not known");
    sizes.push_back(size.first);
  }
  return sizes;
}

void Operation::SetListResult(const std::vector<std::string> &names) {
  const auto &outputs = Unpacking().outputs();
  if (outputs.size() != names.size()) throw Error::Internal("a list of another length");
  for (size_t i = 0; i < names.size(); ++i) values_->names[outputs[i]] = names[i];
}

}  // namespace trainyard::onnx
