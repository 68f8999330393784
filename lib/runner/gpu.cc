#include "runner/gpu.h"

#include <dlfcn.h>
#include <unistd.h>

#include <vector>

namespace trainyard {
namespace {

// The few declarations of nvml.h that are used; they are part of its stable ABI.
struct NvmlUtilization {
  unsigned int gpu, memory;
};
struct NvmlMemory {
  unsigned long long total, free, used;
};
using NvmlDevice = void *;
constexpr int kSuccess = 0;

class Nvml : public GpuMonitor {
 public:
  bool Load() {
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return false;
    int (*init)() = nullptr;
    int (*count)(unsigned int *) = nullptr;
    int (*handle)(unsigned int, NvmlDevice *) = nullptr;
    if (!Find(library, "nvmlInit_v2", &init) || !Find(library, "nvmlDeviceGetCount_v2", &count) ||
        !Find(library, "nvmlDeviceGetHandleByIndex_v2", &handle) ||
        !Find(library, "nvmlDeviceGetUtilizationRates", &utilization_) ||
        !Find(library, "nvmlDeviceGetMemoryInfo", &memory_)) {
      return false;
    }
    unsigned int devices = 0;
    if (init() != kSuccess || count(&devices) != kSuccess) return false;
    for (unsigned int i = 0; i < devices; ++i) {
      NvmlDevice device = nullptr;
      if (handle(i, &device) == kSuccess) devices_.push_back(device);
    }
    return !devices_.empty();
  }

  std::optional<GpuSample> Sample() override {
    GpuSample sample;
    unsigned int answered = 0;
    for (NvmlDevice device : devices_) {
      NvmlUtilization utilization{};
      NvmlMemory memory{};
      if (memory_(device, &memory) == kSuccess) sample.memory_bytes += memory.used;
      if (utilization_(device, &utilization) != kSuccess) continue;
      sample.utilization_percent += utilization.gpu;
      ++answered;
    }
    if (answered == 0) return std::nullopt;
    sample.utilization_percent /= answered;
    return sample;
  }

 private:
  template <typename Function>
  static bool Find(void *library, const char *name, Function *out) {
    *out = reinterpret_cast<Function>(dlsym(library, name));
    return *out != nullptr;
  }

  int (*utilization_)(NvmlDevice, NvmlUtilization *) = nullptr;
  int (*memory_)(NvmlDevice, NvmlMemory *) = nullptr;
  std::vector<NvmlDevice> devices_;
};

}  // namespace

std::unique_ptr<GpuMonitor> GpuMonitor::Open() {
  // Without the driver's device NVML would only search the disk in vain.
  if (access("/dev/nvidiactl", F_OK) != 0) return nullptr;
  auto nvml = std::make_unique<Nvml>();
  if (!nvml->Load()) return nullptr;
  return nvml;
}

}  // namespace trainyard
