// The one symbol of libtrainyard_torch_cuda.so, which the engine opens where LibTorch's CUDA half was opened. Both are
// of one build (the id is compared), so that C++ may pass between them. Thread rule: a constant.
#include "engine_torch/cuda/cuda_graph.h"
#include "engine_torch/cuda/cuda_half.h"
#include "util/build_id.h"

extern "C" __attribute__((visibility("default"))) const trainyard::CudaHalf *ty_engine_cuda_half() {
  static const trainyard::CudaHalf half = {trainyard::BuildId(), &trainyard::NewCudaGraphCapture};
  return &half;
}
