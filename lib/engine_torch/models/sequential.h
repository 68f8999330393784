// Networks for arrays: layers one after the other, described in a few words of JSON. Parameter names are those of
// torch.nn.Sequential ("0.weight", "2.bias", ...), and so are initialisation and its order. Thread rule: functions;
// what they make is as classifier.h says.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine_torch/models/classifier.h"

namespace trainyard {

// `layers` is a list of objects, each with "type":
//   {"type":"linear","out":256,"bias":true}         any number of them; the last layer is one
//   {"type":"relu"}, leaky_relu (slope 0.01), elu (alpha 1), gelu, silu, tanh, sigmoid, softplus
//   {"type":"dropout","p":0.5}, {"type":"batch_norm"}, {"type":"layer_norm"}, {"type":"flatten"}
// Inputs are [n, inputs]; with flatten first, [n, ...] of that many values. Throws Error::InvalidArgument, which names
// the layer.
std::shared_ptr<ImageClassifier> MakeSequential(int64_t inputs, const std::string &layers);

// The description of a multi-layer perceptron: linear layers of the widths given, then one to `outputs`, with the
// activation between them.
std::string DescribeMlp(const std::vector<int64_t> &widths, int64_t outputs, const std::string &activation);

}  // namespace trainyard
