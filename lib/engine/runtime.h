// Where the runtime parts are: trainyard-runner and the engines, in one directory. Looked for in this order:
// SetRuntimeDirectory, the variable TRAINYARD_RUNTIME_DIR, beside this library or program. Thread-safe.
#pragma once

#include <string>

namespace trainyard {

// Empty goes back to the search. Error kRuntime when the directory holds no runner.
void SetRuntimeDirectory(const std::string &directory);

// Absolute. Error kRuntime: the message lists every path tried with its reason.
std::string RuntimeDirectory();
std::string RunnerPath();

}  // namespace trainyard
