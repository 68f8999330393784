// CUDA graphs behind train/graph_capture.h. Thread rule: as there.
#pragma once

#include <memory>

#include "engine_torch/train/graph_capture.h"

namespace trainyard {

// nullptr for a device that is no GPU.
std::unique_ptr<GraphCapture> NewCudaGraphCapture(c10::Device device);

}  // namespace trainyard
