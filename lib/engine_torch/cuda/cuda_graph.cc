#include "engine_torch/cuda/cuda_graph.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <memory>
#include <utility>

namespace trainyard {
namespace {

// Streams and events are the generic ones of c10, so that of CUDA's own library nothing is linked.
class CudaGraphCapture final : public GraphCapture {
 public:
  explicit CudaGraphCapture(c10::Device device)
      : device_(device), guard_(device.type()), side_(guard_.getStreamFromGlobalPool(device)) {}

  void OnSideStream(const std::function<void()> &work) override {
    const c10::Stream current = guard_.getStream(device_);
    Follow(side_, current);
    {
      const c10::StreamGuard on_side(side_);
      work();
    }
    Follow(current, side_);
  }

  void Record(const std::function<void()> &work) override {
    // Nothing of before may still run: memory that is freed now must be free.
    guard_.synchronizeDevice(device_.index());
    // What the side stream has kept for itself would lie there beside the graph's own memory.
    c10::getDeviceAllocator(device_.type())->emptyCache();
    auto graph = std::make_unique<at::cuda::CUDAGraph>();
    {
      const c10::StreamGuard on_side(side_);
      // Of this thread alone: others (the loader's) may allocate meanwhile.
      graph->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
      try {
        work();
      } catch (...) {
        Abandon(graph.get());
        throw;
      }
      graph->capture_end();
    }
    graph_ = std::move(graph);
  }

  void Replay() override { graph_->replay(); }

 private:
  void Follow(const c10::Stream &later, const c10::Stream &earlier) const {
    c10::Event event(device_.type());
    event.record(earlier);
    event.block(later);
  }
  // The capture is over either way; what the end has to say adds nothing.
  static void Abandon(at::cuda::CUDAGraph *graph) noexcept {
    try {
      graph->capture_end();
    } catch (...) {
    }
  }

  const c10::Device device_;
  const c10::impl::VirtualGuardImpl guard_;
  const c10::Stream side_;
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
};

}  // namespace

std::unique_ptr<GraphCapture> NewCudaGraphCapture(c10::Device device) {
  return device.is_cuda() ? std::make_unique<CudaGraphCapture>(device) : nullptr;
}

}  // namespace trainyard
