// From a traced model to the nodes and constants of an ONNX graph. Thread rule: functions.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "engine_torch/export/graph_builder.h"
#include "engine_torch/export/trace.h"

namespace trainyard::onnx {

struct Lowered {
  std::vector<std::string> outputs;  // what the model returns, by its names in the graph
  std::set<std::string> operators;   // those of the trace that were translated, by the names of operators.cc's rows
};

// Adds what the trace does to the graph; `input` is the tensor there that the model gets. What depends on nothing but
// weights is computed now and stored. Throws kUnsupported naming the operator that cannot be exported, and where it is.
Lowered Lower(const TracedModel &trace, const std::string &input, GraphBuilder *graph);

}  // namespace trainyard::onnx
