// Where the runtime parts are: trainyard-runner, the engines and bindings, in one directory. Looked for in this order:
// SetRuntimeDirectory, the variable TRAINYARD_RUNTIME_DIR, beside this library or program. Thread-safe.
#pragma once

#include <string>

namespace trainyard {

// Empty goes back to the search. Error kRuntime when the directory holds no runner.
void SetRuntimeDirectory(const std::string &directory);

// Absolute. Error kRuntime: the message lists every path tried with its reason.
std::string RuntimeDirectory();
std::string RunnerPath();

// libtrainyard.so, for those that load it into another process (bindings in a run's ranks): the one that this code is
// part of, else what the variable TRAINYARD_LIBRARY names, else the one that the runtime directory was installed with.
// Empty when there is none, such as for a program that links the library statically.
std::string LibraryPath();

}  // namespace trainyard
