// Finding a Python of this machine. Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runner/environment/build_tools.h"
#include "runner/environment/definition.h"

namespace trainyard {

struct PythonProgram {
  std::string path;     // of the program itself, behind shims and links in PATH
  std::string version;  // "3.11.2"
};

// Asks a program whether it is a Python that works; nullopt when it is not.
std::optional<PythonProgram> ProbePython(BuildTools *tools, const std::string &program);

// One that meets the definition's conditions: python3 when it does, else the newest python3.N in PATH.
std::optional<PythonProgram> LookForPython(BuildTools *tools, const Definition &definition);
// The same; throws Error kInvalidArgument that names the line and the nearest Python there is.
PythonProgram SearchPython(BuildTools *tools, const Definition &definition);

}  // namespace trainyard
