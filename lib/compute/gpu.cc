#include "compute/gpu.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "util/text.h"

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
constexpr unsigned int kTextBytes = 96;

struct Nvml {
  int (*init)() = nullptr;
  int (*count)(unsigned int *) = nullptr;
  int (*handle)(unsigned int, NvmlDevice *) = nullptr;
  int (*handle_of_uuid)(const char *, NvmlDevice *) = nullptr;
  int (*uuid)(NvmlDevice, char *, unsigned int) = nullptr;
  int (*name)(NvmlDevice, char *, unsigned int) = nullptr;
  int (*utilization)(NvmlDevice, NvmlUtilization *) = nullptr;
  int (*memory)(NvmlDevice, NvmlMemory *) = nullptr;
  // Drivers before MIG do not have them.
  int (*mig_mode)(NvmlDevice, unsigned int *, unsigned int *) = nullptr;
  int (*mig_count)(NvmlDevice, unsigned int *) = nullptr;
  int (*mig_handle)(NvmlDevice, unsigned int, NvmlDevice *) = nullptr;

  bool Load() {
    // Without the driver's device NVML would only search the disk in vain.
    if (access("/dev/nvidiactl", F_OK) != 0) return false;
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return false;
    const bool whole = Find(library, "nvmlInit_v2", &init) && Find(library, "nvmlDeviceGetCount_v2", &count) &&
                       Find(library, "nvmlDeviceGetHandleByIndex_v2", &handle) &&
                       Find(library, "nvmlDeviceGetHandleByUUID", &handle_of_uuid) &&
                       Find(library, "nvmlDeviceGetUUID", &uuid) && Find(library, "nvmlDeviceGetName", &name) &&
                       Find(library, "nvmlDeviceGetUtilizationRates", &utilization) &&
                       Find(library, "nvmlDeviceGetMemoryInfo", &memory);
    Find(library, "nvmlDeviceGetMigMode", &mig_mode);
    Find(library, "nvmlDeviceGetMaxMigDeviceCount", &mig_count);
    Find(library, "nvmlDeviceGetMigDeviceHandleByIndex", &mig_handle);
    return whole && init() == kSuccess;
  }

  std::string Text(int (*get)(NvmlDevice, char *, unsigned int), NvmlDevice device) const {
    std::array<char, kTextBytes> text{};
    return get(device, text.data(), kTextBytes) == kSuccess ? std::string(text.data()) : std::string();
  }

  std::vector<NvmlDevice> MigParts(NvmlDevice device) const {
    std::vector<NvmlDevice> parts;
    unsigned int on = 0, pending = 0, most = 0;
    if (mig_mode == nullptr || mig_count == nullptr || mig_handle == nullptr) return parts;
    if (mig_mode(device, &on, &pending) != kSuccess || on == 0 || mig_count(device, &most) != kSuccess) return parts;
    for (unsigned int i = 0; i < most; ++i) {
      NvmlDevice part = nullptr;
      if (mig_handle(device, i, &part) == kSuccess) parts.push_back(part);
    }
    return parts;
  }

 private:
  template <typename Function>
  static bool Find(void *library, const char *symbol, Function *out) {
    *out = reinterpret_cast<Function>(dlsym(library, symbol));
    return *out != nullptr;
  }
};

// Opened once and kept: initialising NVML may take a second where nothing keeps the driver awake.
const Nvml *TheNvml() {
  static const Nvml *const nvml = [] {
    auto loaded = std::make_unique<Nvml>();
    return loaded->Load() ? loaded.release() : nullptr;
  }();
  return nvml;
}

std::vector<GpuDevice> AskNvml() {
  std::vector<GpuDevice> gpus;
  const Nvml *nvml = TheNvml();
  unsigned int count = 0;
  if (nvml == nullptr || nvml->count(&count) != kSuccess) return gpus;
  for (unsigned int i = 0; i < count; ++i) {
    NvmlDevice device = nullptr;
    if (nvml->handle(i, &device) != kSuccess) continue;
    const std::vector<NvmlDevice> parts = nvml->MigParts(device);
    for (NvmlDevice part : parts) {
      const std::string id = nvml->Text(nvml->uuid, part);
      if (!id.empty()) gpus.push_back({id, id, nvml->Text(nvml->name, part)});
    }
    const std::string id = nvml->Text(nvml->uuid, device);
    if (parts.empty() && !id.empty()) gpus.push_back({id, std::to_string(i), nvml->Text(nvml->name, device)});
  }
  return gpus;
}

std::optional<std::string> Variable(const char *name) {
  const char *text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here changes the environment
  return text == nullptr ? std::nullopt : std::optional<std::string>(text);
}

class NvmlMonitor : public GpuMonitor {
 public:
  NvmlMonitor(const Nvml *nvml, std::vector<NvmlDevice> devices) : nvml_(nvml), devices_(std::move(devices)) {}

  std::optional<GpuSample> Sample() override {
    GpuSample sample;
    unsigned int answered = 0;
    for (NvmlDevice device : devices_) {
      NvmlUtilization utilization{};
      NvmlMemory memory{};
      if (nvml_->memory(device, &memory) == kSuccess) sample.memory_bytes += memory.used;
      if (nvml_->utilization(device, &utilization) != kSuccess) continue;
      sample.utilization_percent += utilization.gpu;
      ++answered;
    }
    if (answered == 0) return std::nullopt;
    sample.utilization_percent /= answered;
    return sample;
  }

 private:
  const Nvml *nvml_;
  const std::vector<NvmlDevice> devices_;
};

}  // namespace

std::vector<GpuDevice> FilterGpus(const std::vector<GpuDevice> &all, std::string_view visible) {
  std::vector<GpuDevice> gpus;
  for (const std::string_view word : Split(visible, ',')) {
    const std::string_view wanted = Trim(word);
    const auto match = std::find_if(all.begin(), all.end(), [&](const GpuDevice &gpu) {
      return !wanted.empty() && (gpu.visible == wanted || (!ParseInt64(wanted) && gpu.id.starts_with(wanted)));
    });
    if (match == all.end()) break;
    if (std::find(gpus.begin(), gpus.end(), *match) == gpus.end()) gpus.push_back(*match);
  }
  return gpus;
}

std::vector<GpuDevice> ListGpus() {
  std::vector<GpuDevice> all;
  if (const auto names = Variable("TRAINYARD_TEST_GPUS")) {
    for (const std::string_view name : Split(*names, ',')) {
      all.push_back({std::string(name), std::to_string(all.size()), "test"});
    }
  } else {
    static const std::vector<GpuDevice> kOfMachine = AskNvml();
    all = kOfMachine;
  }
  auto visible = Variable(kOuterGpusVariable);
  if (!visible) visible = Variable("CUDA_VISIBLE_DEVICES");
  return !visible || *visible == "all" ? all : FilterGpus(all, *visible);
}

std::unique_ptr<GpuMonitor> GpuMonitor::Open(const std::vector<GpuDevice> &gpus) {
  const Nvml *nvml = gpus.empty() ? nullptr : TheNvml();
  if (nvml == nullptr) return nullptr;
  std::vector<NvmlDevice> devices;
  for (const GpuDevice &gpu : gpus) {
    NvmlDevice device = nullptr;
    if (nvml->handle_of_uuid(gpu.id.c_str(), &device) == kSuccess) devices.push_back(device);
  }
  if (devices.empty()) return nullptr;
  return std::make_unique<NvmlMonitor>(nvml, std::move(devices));
}

}  // namespace trainyard
