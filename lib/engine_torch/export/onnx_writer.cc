#include "engine_torch/export/onnx_writer.h"

#include <cstring>
#include <protozero/pbf_writer.hpp>
#include <protozero/varint.hpp>
#include <type_traits>

#include "util/atomic_file.h"
#include "util/error.h"

// An ONNX file is one protobuf message (onnx.proto3 of the ONNX project); the numbers are the fields' tags:
//   ModelProto      ir_version 1, producer_name 2, producer_version 3, graph 7, opset_import 8, metadata_props 14
//   GraphProto      node 1, name 2, initializer 5, input 11, output 12
//   NodeProto       input 1, output 2, name 3, op_type 4, attribute 5
//   AttributeProto  name 1, f 2, i 3, s 4, floats 7, ints 8, type 20
//   TensorProto     dims 1, data_type 2, name 8, raw_data 9
//   ValueInfoProto  name 1, type 2; TypeProto tensor_type 1; its elem_type 1, shape 2
//   TensorShapeProto  dim 1; its dim_value 1, dim_param 2
// A message inside another is preceded by its length, so the weights' bytes need not be copied: everything else is put
// together first, then the file is written in pieces.

namespace trainyard::onnx {
namespace {

using protozero::pbf_wire_type;
using protozero::pbf_writer;

// A parser reads at most this much of one message.
constexpr uint64_t kMaxFileBytes = (uint64_t{1} << 31) - 1;

// The oldest format that has the operator set, so that older runtimes read the file.
int64_t IrVersionOf(int64_t opset) {
  if (opset <= 14) return 7;
  if (opset <= 18) return 8;
  return 9;
}

// The key and the length that precede a field of `size` bytes.
std::string Prefix(protozero::pbf_tag_type tag, uint64_t size) {
  std::string text;
  const auto key = (uint64_t{tag} << 3U) | static_cast<uint64_t>(pbf_wire_type::length_delimited);
  protozero::write_varint(std::back_inserter(text), key);
  protozero::write_varint(std::back_inserter(text), size);
  return text;
}

// AttributeProto.AttributeType
template <typename T>
constexpr int32_t kAttributeType = 0;
template <>
constexpr int32_t kAttributeType<float> = 1;
template <>
constexpr int32_t kAttributeType<int64_t> = 2;
template <>
constexpr int32_t kAttributeType<std::string> = 3;
template <>
constexpr int32_t kAttributeType<std::vector<float>> = 6;
template <>
constexpr int32_t kAttributeType<std::vector<int64_t>> = 7;

void AddAttribute(pbf_writer *node, const Attribute &attribute) {
  pbf_writer message(*node, 5);
  message.add_string(1, attribute.name);
  std::visit(
      [&](const auto &value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, float>) message.add_float(2, value);
        if constexpr (std::is_same_v<T, int64_t>) message.add_int64(3, value);
        if constexpr (std::is_same_v<T, std::string>) message.add_bytes(4, value);
        if constexpr (std::is_same_v<T, std::vector<float>>) message.add_packed_float(7, value.begin(), value.end());
        if constexpr (std::is_same_v<T, std::vector<int64_t>>) message.add_packed_int64(8, value.begin(), value.end());
        message.add_enum(20, kAttributeType<T>);
      },
      attribute.value);
}

void AddNode(pbf_writer *graph, const Node &node) {
  pbf_writer message(*graph, 1);
  for (const std::string &input : node.inputs) message.add_string(1, input);
  for (const std::string &output : node.outputs) message.add_string(2, output);
  message.add_string(3, node.name);
  message.add_string(4, node.op);
  for (const Attribute &attribute : node.attributes) AddAttribute(&message, attribute);
}

void AddValueInfo(pbf_writer *graph, protozero::pbf_tag_type tag, const ValueInfo &info) {
  pbf_writer message(*graph, tag);
  message.add_string(1, info.name);
  pbf_writer type(message, 2);
  pbf_writer tensor(type, 1);
  tensor.add_enum(1, static_cast<int32_t>(info.type));
  // A scalar's shape is there and empty; the writer leaves out messages into which nothing was written.
  if (info.shape.empty()) return tensor.add_message(2, std::string());
  pbf_writer shape(tensor, 2);
  for (const Dimension &dimension : info.shape) {
    pbf_writer entry(shape, 1);
    if (const auto *number = std::get_if<int64_t>(&dimension)) {
      entry.add_int64(1, *number);
    } else {
      entry.add_string(2, std::get<std::string>(dimension));
    }
  }
}

// A TensorProto up to its elements, which are to follow.
std::string TensorHead(const Initializer &tensor) {
  std::string text;
  pbf_writer message(text);
  message.add_packed_int64(1, tensor.shape.begin(), tensor.shape.end());
  message.add_int32(2, static_cast<int32_t>(tensor.type));
  message.add_string(8, tensor.name);
  text += Prefix(9, tensor.data.size());
  return text;
}

// A ModelProto without its graph.
std::string ModelHead(const Model &model) {
  std::string text;
  pbf_writer message(text);
  message.add_int64(1, IrVersionOf(model.opset));
  message.add_string(2, model.producer);
  message.add_string(3, model.producer_version);
  {
    pbf_writer opset(message, 8);
    opset.add_string(1, "");
    opset.add_int64(2, model.opset);
  }
  for (const auto &[key, value] : model.metadata) {
    pbf_writer entry(message, 14);
    entry.add_string(1, key);
    entry.add_string(2, value);
  }
  return text;
}

// A GraphProto without its initializers.
std::string GraphHead(const Model &model) {
  std::string text;
  pbf_writer message(text);
  message.add_string(2, model.graph_name);
  for (const ValueInfo &info : model.inputs) AddValueInfo(&message, 11, info);
  for (const ValueInfo &info : model.outputs) AddValueInfo(&message, 12, info);
  for (const Node &node : model.nodes) AddNode(&message, node);
  return text;
}

}  // namespace

void WriteModel(const Model &model, const std::string &path) {
  const std::string graph = GraphHead(model);
  uint64_t graph_bytes = graph.size();
  std::vector<std::string> heads;  // each with its own prefix
  heads.reserve(model.initializers.size());
  for (const Initializer &tensor : model.initializers) {
    const std::string head = TensorHead(tensor);
    heads.push_back(Prefix(5, head.size() + tensor.data.size()) + head);
    graph_bytes += heads.back().size() + tensor.data.size();
  }
  const std::string start = ModelHead(model) + Prefix(7, graph_bytes);
  if (start.size() + graph_bytes > kMaxFileBytes) {
    throw Error(Status::kUnsupported,
                "the model takes " + std::to_string((start.size() + graph_bytes) >> 20U) +
                    " MB, and one ONNX file holds at most 2 GB: export a smaller model (weights in files beside the "
                    "model's are not written)",
                {{"path", path}});
  }
  AtomicFile file(path);
  file.Write(start.data(), start.size());
  file.Write(graph.data(), graph.size());
  for (size_t i = 0; i < heads.size(); ++i) {
    file.Write(heads[i].data(), heads[i].size());
    file.Write(model.initializers[i].data.data(), model.initializers[i].data.size());
  }
  file.Commit();
}

}  // namespace trainyard::onnx
