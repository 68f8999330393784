// Work that the library leaves to a process of its own: what reads YAML or loads LibTorch must not be in the host.
// Thread-safe.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "util/json.h"

namespace trainyard {

// Runs `trainyard-runner <task> <arguments>... <report>` with `request` on its standard input, and answers the report
// it wrote. The runner ends when this process does. Throws Error kRuntime with the runner's own words.
Json AskRunner(const std::string &task, const std::vector<std::string> &arguments, const Json &request,
               std::chrono::milliseconds time_limit);

}  // namespace trainyard
