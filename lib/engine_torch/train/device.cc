#include "engine_torch/train/device.h"

#include <torch/cuda.h>

#include <optional>
#include <string_view>

#include "util/error.h"
#include "util/text.h"

namespace trainyard {

c10::Device ChooseDevice(const std::string &name) {
  if (name == "cpu") return c10::kCPU;
  if (name == "auto" || name.empty())
    return torch::cuda::is_available() ? c10::Device(c10::kCUDA, 0) : c10::Device(c10::kCPU);
  int64_t index = 0;
  if (name != "cuda") {
    const std::optional<int64_t> number =
        name.starts_with("cuda:") ? ParseInt64(std::string_view(name).substr(5)) : std::nullopt;
    if (!number || *number < 0 || *number > 127) {
      throw Error::InvalidArgument("unknown device '" + name + "': give auto, cpu, cuda or cuda:N");
    }
    index = *number;
  }
  const int count = GpuCount();
  if (count == 0) {
    throw Error(
        Status::kUnsupported,
        "device '" + name +
            "' is not there: LibTorch sees no CUDA GPU (no driver, or a LibTorch for the CPU); use cpu or auto");
  }
  if (index >= count) {
    throw Error(Status::kUnsupported, "device '" + name + "' is not there: this machine has " + std::to_string(count) +
                                          " GPU(s), numbered from 0");
  }
  return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
}

int GpuCount() {
  return torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
}

c10::Device ChooseRankDevice(const std::string &name, int local_rank, int local_ranks, int gpus, bool can_share) {
  if (name == "cpu") return c10::kCPU;
  const bool enough = gpus >= local_ranks && local_rank < gpus;
  if (name == "auto" || name.empty()) {
    if (!enough || !can_share) return c10::kCPU;
  } else if (name != "cuda") {
    throw Error::InvalidArgument("device '" + name +
                                 "' is one GPU, and this training has several ranks: set device to cuda, and each "
                                 "takes the one of its LOCAL_RANK");
  } else if (!enough) {
    throw Error(Status::kUnsupported,
                std::to_string(local_ranks) + " ranks are to train on GPUs here, one on each, and this run sees " +
                    std::to_string(gpus) +
                    ": ask for as many GPUs on a node as it has ranks (ty_job_set_gpus), or set device to cpu");
  }
  return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(local_rank));
}

}  // namespace trainyard
