#include "core/resources.h"

#include <algorithm>
#include <limits>
#include <string>

#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

int32_t Int32(const Json &json, int32_t minimum, int32_t maximum) {
  return static_cast<int32_t>(json.AsInt64(minimum, maximum));
}

void CheckRange(const char *what, int64_t value, int64_t minimum, int64_t maximum) {
  if (value >= minimum && value <= maximum) return;
  throw Error::InvalidArgument(std::string(what) + " must be from " + std::to_string(minimum) + " to " +
                               std::to_string(maximum) + ", got " + std::to_string(value));
}

// GPUs that a training job needs for its device to exist.
int32_t GpusOfDevice(const std::string &device) {
  if (device == "cuda") return 1;
  const auto number = device.starts_with("cuda:") ? ParseInt64(device.substr(5)) : std::nullopt;
  return number ? static_cast<int32_t>(std::clamp<int64_t>(*number, 0, Resources::kMaxGpus - 1)) + 1 : 0;
}

}  // namespace

void Resources::Check() const {
  if (gpus) CheckRange("the number of GPUs", *gpus, 0, kMaxGpus);
  CheckRange("the number of CPUs", cpus, 0, kMaxCpus);
  CheckRange("the priority", priority, -kMaxPriority, kMaxPriority);
  if (time_limit_ms <= 0) throw Error::InvalidArgument("the time limit must be at least 1 ms");
}

Json Resources::ToJson() const {
  Json json = Json::Object();
  if (gpus) json.Set("gpus", *gpus);
  if (share_gpus) json.Set("share_gpus", share_gpus);
  json.Set("cpus", cpus).Set("memory_bytes", memory_bytes).Set("priority", priority);
  if (preemptible) json.Set("preemptible", preemptible);
  json.Set("time_limit_ms", time_limit_ms);
  return json;
}

Resources Resources::FromJson(const Json &json) {
  json.CheckKeys({"gpus", "share_gpus", "cpus", "memory_bytes", "priority", "preemptible", "time_limit_ms"});
  Resources resources;
  if (auto v = json.Find("gpus")) resources.gpus = Int32(*v, 0, kMaxGpus);
  resources.share_gpus = json.GetBool("share_gpus", false);
  if (auto v = json.Find("cpus")) resources.cpus = Int32(*v, 0, kMaxCpus);
  if (auto v = json.Find("memory_bytes")) resources.memory_bytes = v->AsUint64();
  if (auto v = json.Find("priority")) resources.priority = Int32(*v, -kMaxPriority, kMaxPriority);
  resources.preemptible = json.GetBool("preemptible", false);
  if (auto v = json.Find("time_limit_ms")) resources.time_limit_ms = v->AsInt64(1);
  return resources;
}

int32_t GpusFor(const Resources &resources, const TrainConfig *train, int32_t there, int32_t processes) {
  if (resources.gpus) return *resources.gpus;
  if (train == nullptr) return 0;
  const std::string &device = train->GetString("device");
  if (device == "auto") return there >= processes ? processes : 0;
  return std::max(GpusOfDevice(device), device == "cuda" ? processes : 0);
}

void CheckDevice(const Resources &resources, const TrainConfig &train) {
  const std::string &device = train.GetString("device");
  const int32_t needed = GpusOfDevice(device);
  if (!resources.gpus || *resources.gpus >= needed) return;
  throw Error::InvalidArgument("setting 'device' is " + device + ", which needs " + std::to_string(needed) +
                                   " GPU(s), and the job asks for " + std::to_string(*resources.gpus) +
                                   ": raise that with ty_job_set_gpus, or use device auto",
                               {{"key", "device"}});
}

}  // namespace trainyard
