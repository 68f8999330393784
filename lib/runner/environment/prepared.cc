#include "runner/environment/prepared.h"

#include <cstdlib>

#include "runner/environment/container.h"
#include "util/text.h"

namespace trainyard {

void PreparedEnvironment::Apply(const std::string &run_directory, const std::vector<std::string> &read_only,
                                int32_t gpus, LaunchRequest *request) const {
  if (!path.empty()) {
    const auto own = request->variables.find("PATH");
    const char *inherited = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe)
    const std::string rest = own != request->variables.end() ? own->second
                             : inherited != nullptr          ? inherited
                                                             : "/usr/local/bin:/usr/bin:/bin";
    request->variables["PATH"] = Join(path, ":") + ":" + rest;
  }
  if (container != nullptr) request->command = ContainerCommand(*container, run_directory, read_only, gpus, *request);
}

void PreparedEnvironment::CleanUp(const std::string &run_id) const {
  if (container != nullptr) RemoveContainers(*container, run_id);
}

}  // namespace trainyard
