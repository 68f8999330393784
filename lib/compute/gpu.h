// The GPUs of this machine, and what they do, from NVML (libnvidia-ml.so.1 of the driver, opened at run time). Thread
// rule: ListGpus is thread-safe; a GpuMonitor is used by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

struct GpuDevice {
  std::string id;       // stable: NVML's UUID, "GPU-..." or "MIG-..."
  std::string visible;  // what names it in CUDA_VISIBLE_DEVICES: its number in PCI order; the id of a MIG part
  std::string name;     // "NVIDIA H200"
  bool operator==(const GpuDevice &) const = default;
};

// What this process may hand out, in PCI order: all GPUs, or those that CUDA_VISIBLE_DEVICES leaves (what the rank of
// another run finds there is only that run's share, and does not count). A GPU that is split into MIG parts stands for
// its parts. NVML is asked once per process. Where there is none, the list is empty.
//
// For tests: TRAINYARD_TEST_GPUS="a,b" names GPUs that need not exist.
std::vector<GpuDevice> ListGpus();

// As CUDA reads it: numbers or beginnings of ids, up to the first that is not there.
std::vector<GpuDevice> FilterGpus(const std::vector<GpuDevice> &all, std::string_view visible);

struct GpuSample {
  double utilization_percent = 0;  // mean over the GPUs
  uint64_t memory_bytes = 0;       // sum over the GPUs
};

class GpuMonitor {
 public:
  // Of these GPUs. Nothing where there is no driver, no NVML or none of them.
  static std::unique_ptr<GpuMonitor> Open(const std::vector<GpuDevice> &gpus);
  virtual ~GpuMonitor() = default;
  virtual std::optional<GpuSample> Sample() = 0;
};

// Set for ranks beside CUDA_VISIBLE_DEVICES: what the latter was outside of the run ("all" when it was not set).
inline constexpr char kOuterGpusVariable[] = "TRAINYARD_OUTER_VISIBLE_DEVICES";

}  // namespace trainyard
