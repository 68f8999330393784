// What the engine gets from libtrainyard_torch_cuda.so, which alone is linked with LibTorch's CUDA libraries: a machine
// without a GPU loads neither. Thread rule: Load once, before training.
#pragma once

#include <string>

#include "engine_torch/train/graph_capture.h"

namespace trainyard {

struct CudaHalf {
  const char *build_id;
  MakeGraphCapture new_graph_capture;
};

inline constexpr const char *kCudaHalfLibrary = "libtrainyard_torch_cuda.so";
inline constexpr const char *kCudaHalfSymbol = "ty_engine_cuda_half";

// Opens the library in `directory`, and lets steps be recorded. Empty, or why there is none: training works without.
std::string LoadCudaHalf(const std::string &directory);

}  // namespace trainyard
