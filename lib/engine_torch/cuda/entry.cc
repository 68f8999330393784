// The one symbol of libtrainyard_torch_cuda.so, which the engine opens where LibTorch's CUDA half was opened. Both are
// of one build (the id is compared), so that C++ may pass between them. Thread rule: a constant.
#include "engine_torch/cuda/cuda_graph.h"
#include "engine_torch/cuda/cuda_half.h"
#ifdef TRAINYARD_HAS_NCCL
#include "engine_torch/cuda/nccl_collective.h"
#endif
#include "util/build_id.h"

extern "C" __attribute__((visibility("default"))) const trainyard::CudaHalf *ty_engine_cuda_half() {
#ifdef TRAINYARD_HAS_NCCL
  constexpr trainyard::MakeGpuCollective new_collective = &trainyard::OpenNcclCollective;
#else
  constexpr trainyard::MakeGpuCollective new_collective = nullptr;
#endif
  static const trainyard::CudaHalf half = {trainyard::BuildId(), &trainyard::NewCudaGraphCapture, new_collective};
  return &half;
}
