#include "engine_torch/export/graph_builder.h"

#include <ATen/ops/full.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "util/error.h"

namespace trainyard::onnx {
namespace {

// How a size grows with the batch size: per_item * batch + constant.
struct Linear {
  int64_t per_item;
  int64_t constant;
};
Linear LinearOf(const Size &size) {
  const int64_t per_item = (size.second - size.first) / (TracedModel::kSecondBatch - TracedModel::kFirstBatch);
  return {per_item, size.first - per_item * TracedModel::kFirstBatch};
}

std::span<const std::byte> BytesOf(const at::Tensor &tensor) {
  return {static_cast<const std::byte *>(tensor.const_data_ptr()), tensor.nbytes()};
}

constexpr int64_t kSmallBytes = 1024;

}  // namespace

DataType DataTypeOf(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return DataType::kFloat;
    case at::kDouble:
      return DataType::kDouble;
    case at::kHalf:
      return DataType::kFloat16;
    case at::kBFloat16:
      return DataType::kBfloat16;
    case at::kByte:
      return DataType::kUint8;
    case at::kChar:
      return DataType::kInt8;
    case at::kShort:
      return DataType::kInt16;
    case at::kInt:
      return DataType::kInt32;
    case at::kLong:
      return DataType::kInt64;
    case at::kBool:
      return DataType::kBool;
    default:
      throw Error(Status::kUnsupported, std::string("tensors of type ") + c10::toString(type) +
                                            " cannot be exported: convert the model to float32");
  }
}

GraphBuilder::GraphBuilder(int64_t opset, std::string batch_input,
                           const std::vector<std::pair<std::string, at::Tensor>> &parameters)
    : opset_(opset), batch_input_(std::move(batch_input)) {
  UniqueName(batch_input_);
  for (const auto &[name, tensor] : parameters) {
    if (tensor.numel() > 0) parameters_.try_emplace({tensor.const_data_ptr(), tensor.sizes().vec()}, name);
    parameter_names_.insert(name);
  }
}

std::string GraphBuilder::UniqueName(const std::string &wanted) {
  while (true) {
    const int count = ++used_names_[wanted];
    std::string name = count == 1 ? wanted : wanted + "_" + std::to_string(count);
    if (parameter_names_.count(name) == 0) return name;
  }
}

std::vector<std::string> GraphBuilder::EmitMany(const std::string &op, std::vector<std::string> inputs, size_t count,
                                                std::vector<Attribute> attributes) {
  for (const std::string &input : inputs) {
    const size_t dot = input.rfind('.');
    if (dot == std::string::npos || parameter_names_.count(input) == 0) continue;
    scope_ = input.substr(0, dot);
    last_module_ = scope_;
  }
  Node node;
  node.op = op;
  node.name = UniqueName(scope_.empty() ? op : scope_ + "/" + op);
  node.inputs = std::move(inputs);
  node.attributes = std::move(attributes);
  for (size_t i = 0; i < count; ++i) node.outputs.push_back(UniqueName("value"));
  nodes_.push_back(node);
  return nodes_.back().outputs;
}

std::string GraphBuilder::Emit(const std::string &op, std::vector<std::string> inputs,
                               std::vector<Attribute> attributes) {
  return EmitMany(op, std::move(inputs), 1, std::move(attributes))[0];
}

std::string GraphBuilder::Store(const std::string &name, const at::Tensor &tensor) {
  const auto kept = std::make_shared<at::Tensor>(tensor.detach().to(at::kCPU).contiguous());
  Initializer initializer;
  initializer.name = name;
  initializer.type = DataTypeOf(kept->scalar_type());
  initializer.shape = kept->sizes().vec();
  initializer.data = BytesOf(*kept);
  initializer.owner = kept;
  initializers_.push_back(std::move(initializer));
  return name;
}

bool GraphBuilder::IsParameter(const at::Tensor &tensor) const {
  return tensor.numel() > 0 && tensor.is_contiguous() &&
         parameters_.contains({tensor.const_data_ptr(), tensor.sizes().vec()});
}

std::string GraphBuilder::Tensor(const at::Tensor &tensor) {
  if (!tensor.defined()) throw Error::Internal("an undefined tensor is no constant");
  if (IsParameter(tensor)) {
    const auto found = parameters_.find({tensor.const_data_ptr(), tensor.sizes().vec()});
    const auto [place, is_new] = stored_.try_emplace("p" + found->second, found->second);
    return is_new ? Store(found->second, tensor) : place->second;
  }
  // Small ones are known by what they hold, the others are not looked for.
  std::string key;
  if (static_cast<int64_t>(tensor.nbytes()) <= kSmallBytes) {
    const at::Tensor flat = tensor.detach().to(at::kCPU).contiguous();
    key = "c" + std::string(c10::toString(flat.scalar_type()));
    for (const int64_t size : flat.sizes()) key += "," + std::to_string(size);
    key += ":" + std::string(static_cast<const char *>(flat.const_data_ptr()), flat.nbytes());
    const auto known = stored_.find(key);
    if (known != stored_.end()) return known->second;
  }
  const std::string name = UniqueName("constant");
  if (!key.empty()) stored_[key] = name;
  return Store(name, tensor);
}

std::string GraphBuilder::Ints(const std::vector<int64_t> &values) {
  return Tensor(at::tensor(values, at::kLong));
}

std::string GraphBuilder::Index(int64_t value) {
  return Tensor(at::scalar_tensor(value, at::kLong));
}

std::string GraphBuilder::Scalar(double value, at::ScalarType type) {
  return Filled({}, value, type);
}

std::string GraphBuilder::Filled(at::IntArrayRef shape, double value, at::ScalarType type) {
  return Tensor(at::full(shape, value, type));
}

std::string GraphBuilder::Sizes(const Shape &shape) {
  std::vector<std::string> parts;
  std::vector<int64_t> fixed;
  const auto flush = [&] {
    if (!fixed.empty()) parts.push_back(Ints(fixed));
    fixed.clear();
  };
  for (const Size &size : shape) {
    if (size.fixed()) {
      fixed.push_back(size.first);
      continue;
    }
    flush();
    if (batch_size_.empty())
      batch_size_ = Emit("Gather", {Emit("Shape", {batch_input_}), Ints({0})}, {{"axis", int64_t{0}}});
    const Linear linear = LinearOf(size);
    std::string part = batch_size_;
    if (linear.per_item != 1) part = Emit("Mul", {part, Ints({linear.per_item})});
    if (linear.constant != 0) part = Emit("Add", {part, Ints({linear.constant})});
    parts.push_back(part);
  }
  flush();
  if (parts.empty()) return Ints({});
  return parts.size() == 1 ? parts[0] : Emit("Concat", parts, {{"axis", int64_t{0}}});
}

std::string GraphBuilder::Reshape(const std::string &input, const Shape &to) {
  std::vector<int64_t> sizes;
  int varying = 0;
  bool empty = false;
  for (const Size &size : to) {
    varying += size.fixed() ? 0 : 1;
    empty |= size.first == 0;  // to Reshape 0 means: as before
    sizes.push_back(size.fixed() ? size.first : -1);
  }
  if (empty) return Emit("Reshape", {input, Sizes(to)}, {{"allowzero", int64_t{1}}});
  return Emit("Reshape", {input, varying <= 1 ? Ints(sizes) : Sizes(to)});
}

std::string GraphBuilder::Transpose(const std::string &input, const std::vector<int64_t> &order) {
  if (std::is_sorted(order.begin(), order.end())) return input;
  return Emit("Transpose", {input}, {{"perm", order}});
}

std::string GraphBuilder::Cast(const std::string &input, at::ScalarType type) {
  return Emit("Cast", {input}, {{"to", static_cast<int64_t>(DataTypeOf(type))}});
}

std::string GraphBuilder::Reduce(const std::string &onnx, const std::string &input, const std::vector<int64_t> &axes,
                                 bool keep_dimensions) {
  const Attribute keep = {"keepdims", int64_t{keep_dimensions}};
  // Axes are an input of ReduceSum, and from opset 18 on of the others.
  if (onnx == "ReduceSum" || opset_ >= 18) return Emit(onnx, {input, Ints(axes)}, {keep});
  return Emit(onnx, {input}, {{"axes", axes}, keep});
}

std::string GraphBuilder::Expand(const std::string &input, const Shape &from, const Shape &to) {
  if (from == to) return input;
  Shape wanted = to;
  const size_t added = to.size() - from.size();
  // Expand leaves a dimension as it is where it is asked for 1.
  for (size_t i = added; i < to.size(); ++i) {
    if (from[i - added] == to[i]) wanted[i] = {1, 1};
  }
  return Emit("Expand", {input, Sizes(wanted)});
}

std::string GraphBuilder::NameOutput(const std::string &output, const std::string &wanted) {
  const std::string name = UniqueName(wanted);
  const auto before = outputs_.find(output);
  const std::string value = before == outputs_.end() ? output : before->second;
  const auto produces = [&](const Node &node) {
    return std::find(node.outputs.begin(), node.outputs.end(), value) != node.outputs.end();
  };
  // An input, a constant, or what is an output already keeps its name.
  const bool fixed = before != outputs_.end() || std::none_of(nodes_.begin(), nodes_.end(), produces);
  if (fixed) {
    nodes_.push_back({"Identity", UniqueName("Identity"), {value}, {name}, {}});
  } else {
    for (Node &node : nodes_) {
      std::replace(node.inputs.begin(), node.inputs.end(), value, name);
      std::replace(node.outputs.begin(), node.outputs.end(), value, name);
    }
  }
  outputs_.try_emplace(output, name);
  return name;
}

void GraphBuilder::Finish(const std::vector<std::string> &outputs, Model *model) {
  std::unordered_set<std::string> needed(outputs.begin(), outputs.end());
  std::vector<Node> kept;
  for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
    const bool used = std::any_of(node->outputs.begin(), node->outputs.end(),
                                  [&](const std::string &output) { return needed.count(output) > 0; });
    if (!used) continue;
    needed.insert(node->inputs.begin(), node->inputs.end());
    kept.push_back(std::move(*node));
  }
  model->opset = opset_;
  model->nodes.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
  for (Initializer &initializer : initializers_) {
    if (needed.count(initializer.name) > 0) model->initializers.push_back(std::move(initializer));
  }
  nodes_.clear();
  initializers_.clear();
}

}  // namespace trainyard::onnx
