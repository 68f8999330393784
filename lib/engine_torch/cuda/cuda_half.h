// What the engine gets from libtrainyard_torch_cuda.so, which alone is linked with LibTorch's CUDA libraries: a machine
// without a GPU loads neither. Thread rule: Load once, before training.
#pragma once

#include <string>

#include "engine/engine.h"
#include "engine_torch/parallel/collective.h"
#include "engine_torch/train/graph_capture.h"

namespace trainyard {

struct CudaHalf {
  const char *build_id;
  MakeGraphCapture new_graph_capture;
  MakeGpuCollective new_collective;  // nullptr: built without NCCL's header
};

inline constexpr const char *kCudaHalfLibrary = TY_ENGINE_CUDA_LIBRARY;
inline constexpr const char *kCudaHalfSymbol = "ty_engine_cuda_half";

// Opens the library in `directory`: steps can be recorded, ranks can be on GPUs. Empty, or why there is none: training
// on one GPU works without.
std::string LoadCudaHalf(const std::string &directory);

}  // namespace trainyard
