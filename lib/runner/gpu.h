// What the GPUs do, from NVML (libnvidia-ml.so.1 of the driver, opened at run time). Thread rule: one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

namespace trainyard {

struct GpuSample {
  double utilization_percent = 0;  // mean over the GPUs
  uint64_t memory_bytes = 0;       // sum over the GPUs
};

class GpuMonitor {
 public:
  // Nothing where there is no driver, no NVML or no GPU.
  static std::unique_ptr<GpuMonitor> Open();
  virtual ~GpuMonitor() = default;
  virtual std::optional<GpuSample> Sample() = 0;
};

}  // namespace trainyard
