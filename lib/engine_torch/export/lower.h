// From a traced model to the nodes and constants of an ONNX graph. Thread rule: functions.
#pragma once

#include <string>
#include <vector>

#include "engine_torch/export/graph_builder.h"
#include "engine_torch/export/trace.h"

namespace trainyard::onnx {

// Adds what the trace does to the graph; `input` is the tensor there that the model gets. Returns the names of what the
// model returns. What depends on nothing but weights is computed now and stored. Throws kUnsupported naming the
// operator that cannot be exported, and where it is.
std::vector<std::string> Lower(const TracedModel &trace, const std::string &input, GraphBuilder *graph);

}  // namespace trainyard::onnx
