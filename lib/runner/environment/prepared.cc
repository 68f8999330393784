#include "runner/environment/prepared.h"

#include <cstdlib>

#include "runner/environment/container.h"
#include "util/text.h"

namespace trainyard {

void PreparedEnvironment::Apply(const std::string &run_directory, const std::vector<std::string> &read_only,
                                uint64_t memory_bytes, LaunchRequest *request) const {
  if (!path.empty()) {
    const auto own = request->variables.find("PATH");
    const char *inherited = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe)
    const std::string rest = own != request->variables.end() ? own->second
                             : inherited != nullptr          ? inherited
                                                             : "/usr/local/bin:/usr/bin:/bin";
    request->variables["PATH"] = Join(path, ":") + ":" + rest;
  }
  if (container == nullptr) return;
  for (LaunchNode &node : request->nodes) {
    std::vector<std::string> gpus;
    for (const std::string_view gpu : Split(node.variables["CUDA_VISIBLE_DEVICES"], ',')) {
      if (!gpu.empty()) gpus.emplace_back(gpu);
    }
    node.wrapper = ContainerCommand(*container, {run_directory, read_only, gpus, memory_bytes}, *request);
    // Inside, numbers count from 0 again; ids mean the same everywhere.
    if (!gpus.empty()) node.variables["CUDA_VISIBLE_DEVICES"] = node.variables["NVIDIA_VISIBLE_DEVICES"];
  }
}

void PreparedEnvironment::CleanUp(const std::string &run_id) const {
  if (container != nullptr) RemoveContainers(*container, run_id);
}

}  // namespace trainyard
