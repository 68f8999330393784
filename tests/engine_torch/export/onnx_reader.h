// What the tests read of ONNX files: with protozero's reader, which is not what wrote them. A value.
#pragma once

#include <map>
#include <protozero/pbf_reader.hpp>
#include <string>
#include <vector>

#include "util/fs.h"

namespace trainyard::testing {

struct OnnxFile {
  struct Node {
    std::string op, name;
    std::vector<std::string> inputs, outputs;
    std::map<std::string, std::string> attributes;  // "i 3 type 2": value and declared type
  };
  struct Tensor {
    int32_t type = 0;
    std::vector<int64_t> shape;
    std::string bytes;
  };

  int64_t ir_version = 0, opset = 0;
  std::string producer, graph_name;
  std::vector<Node> nodes;
  std::map<std::string, Tensor> initializers;
  std::vector<std::string> inputs, outputs;  // "images 1 batch,3,64,64": name, element type, shape
  std::map<std::string, std::string> metadata;

  std::vector<std::string> Operators() const {
    std::vector<std::string> names;
    for (const Node &node : nodes) names.push_back(node.op);
    return names;
  }
  const Node *Find(const std::string &op) const {
    for (const Node &node : nodes) {
      if (node.op == op) return &node;
    }
    return nullptr;
  }
};

inline std::string Numbers(const std::vector<int64_t> &values) {
  std::string text;
  for (const int64_t value : values) text += " " + std::to_string(value);
  return text;
}

// The name, and the value as OnnxFile::Node has it.
inline std::pair<std::string, std::string> ReadAttribute(protozero::pbf_reader message) {
  std::string name, value;
  int32_t type = 0;
  while (message.next()) {
    switch (message.tag()) {
      case 1:
        name = message.get_string();
        break;
      case 2:
        value = "f " + std::to_string(message.get_float());
        break;
      case 3:
        value = "i " + std::to_string(message.get_int64());
        break;
      case 4:
        value = "s " + message.get_string();
        break;
      case 7:
        value = "floats";
        for (const float number : message.get_packed_float()) value += " " + std::to_string(number);
        break;
      case 8: {
        const auto range = message.get_packed_int64();
        value = "ints" + Numbers({range.begin(), range.end()});
        break;
      }
      case 20:
        type = message.get_enum();
        break;
      default:
        message.skip();
    }
  }
  return {name, value + " type " + std::to_string(type)};
}

inline OnnxFile::Node ReadNode(protozero::pbf_reader message) {
  OnnxFile::Node node;
  while (message.next()) {
    if (message.tag() == 1) {
      node.inputs.push_back(message.get_string());
    } else if (message.tag() == 2) {
      node.outputs.push_back(message.get_string());
    } else if (message.tag() == 3) {
      node.name = message.get_string();
    } else if (message.tag() == 4) {
      node.op = message.get_string();
    } else if (message.tag() == 5) {
      node.attributes.insert(ReadAttribute(message.get_message()));
    } else {
      message.skip();
    }
  }
  return node;
}

inline std::pair<std::string, OnnxFile::Tensor> ReadTensor(protozero::pbf_reader message) {
  OnnxFile::Tensor tensor;
  std::string name;
  while (message.next()) {
    if (message.tag() == 1) {
      const auto range = message.get_packed_int64();
      tensor.shape.assign(range.begin(), range.end());
    } else if (message.tag() == 2) {
      tensor.type = message.get_int32();
    } else if (message.tag() == 8) {
      name = message.get_string();
    } else if (message.tag() == 9) {
      tensor.bytes = message.get_bytes();
    } else {
      message.skip();
    }
  }
  return {name, tensor};
}

inline std::string ReadValueInfo(protozero::pbf_reader message) {
  std::string name, shape;
  int32_t type = 0;
  message.next(1);
  name = message.get_string();
  message.next(2);
  protozero::pbf_reader tensor(message.get_message());
  tensor.next(1);
  protozero::pbf_reader body(tensor.get_message());
  while (body.next()) {
    if (body.tag() == 1) {
      type = body.get_enum();
    } else {
      protozero::pbf_reader dimensions(body.get_message());
      while (dimensions.next(1)) {
        protozero::pbf_reader dimension(dimensions.get_message());
        dimension.next();
        shape += (shape.empty() ? "" : ",") +
                 (dimension.tag() == 1 ? std::to_string(dimension.get_int64()) : dimension.get_string());
      }
    }
  }
  return name + " " + std::to_string(type) + " " + shape;
}

inline void ReadGraph(protozero::pbf_reader message, OnnxFile *file) {
  while (message.next()) {
    if (message.tag() == 1) {
      file->nodes.push_back(ReadNode(message.get_message()));
    } else if (message.tag() == 2) {
      file->graph_name = message.get_string();
    } else if (message.tag() == 5) {
      file->initializers.insert(ReadTensor(message.get_message()));
    } else if (message.tag() == 11) {
      file->inputs.push_back(ReadValueInfo(message.get_message()));
    } else if (message.tag() == 12) {
      file->outputs.push_back(ReadValueInfo(message.get_message()));
    } else {
      message.skip();
    }
  }
}

inline OnnxFile ReadOnnx(const std::string &path) {
  const std::string bytes = ReadFile(path, uint64_t{2} << 30);
  OnnxFile file;
  protozero::pbf_reader message(bytes);
  while (message.next()) {
    if (message.tag() == 1) {
      file.ir_version = message.get_int64();
    } else if (message.tag() == 2) {
      file.producer = message.get_string();
    } else if (message.tag() == 7) {
      ReadGraph(message.get_message(), &file);
    } else if (message.tag() == 8) {
      protozero::pbf_reader opset = message.get_message();
      while (opset.next()) {
        if (opset.tag() == 2) {
          file.opset = opset.get_int64();
        } else {
          opset.skip();
        }
      }
    } else if (message.tag() == 14) {
      protozero::pbf_reader entry = message.get_message();
      entry.next(1);
      const std::string key = entry.get_string();
      entry.next(2);
      file.metadata[key] = entry.get_string();
    } else {
      message.skip();
    }
  }
  return file;
}

}  // namespace trainyard::testing
