// Writes ONNX files. What is here is what a graph for inference consists of, as plain values; onnx_writer.cc describes
// the file. No LibTorch. Thread rule: values and functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace trainyard::onnx {

// TensorProto.DataType
enum class DataType : int32_t {
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kBfloat16 = 16,
};

using AttributeValue = std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>>;

struct Attribute {
  std::string name;
  AttributeValue value;
};

struct Node {
  std::string op;  // of the default operator set: "Conv"
  std::string name;
  std::vector<std::string> inputs;  // "" = an optional input that is left out
  std::vector<std::string> outputs;
  std::vector<Attribute> attributes;
};

// A constant: contiguous elements in row-major order, little-endian.
struct Initializer {
  std::string name;
  DataType type = DataType::kFloat;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
  std::shared_ptr<const void> owner;  // keeps `data` alive; null when somebody else does
};

// A dimension is a number, or a name for one that is known when the model runs.
using Dimension = std::variant<int64_t, std::string>;

struct ValueInfo {
  std::string name;
  DataType type = DataType::kFloat;
  std::vector<Dimension> shape;
};

struct Model {
  int64_t opset = 17;
  std::string producer;
  std::string producer_version;
  std::string graph_name;
  std::vector<ValueInfo> inputs;
  std::vector<ValueInfo> outputs;
  std::vector<Node> nodes;  // in an order in which they can run
  std::vector<Initializer> initializers;
  std::vector<std::pair<std::string, std::string>> metadata;
};

inline constexpr int64_t kMinOpset = 13;
inline constexpr int64_t kMaxOpset = 20;

// The file replaces an older one whole or not at all. Throws kUnsupported for more than 2 GB, and what writing throws.
void WriteModel(const Model &model, const std::string &path);

}  // namespace trainyard::onnx
