// An environment's parts taken together: the conda file read (YAML), what is added to it, and where each line came
// from, so that an error can name it. Thread rule: values.
#pragma once

#include <string>
#include <vector>

#include "core/environment.h"
#include "runner/environment/version_spec.h"

namespace trainyard {

struct Requirement {
  std::string text;   // as written
  std::string where;  // "line 4 of the conda file", "pip package"
};

struct Definition {
  std::vector<Requirement> python;  // conditions on Python's version
  std::vector<Requirement> conda;   // packages other than Python and pip
  std::vector<std::string> channels;
  std::vector<Requirement> pip;  // lines for pip, options among them
  // Packages of the Azure ML SDK that the runtime directory's own package stands in for (runs have it in PYTHONPATH).
  std::vector<std::string> left_out;

  // Whether any release of this Python meets all conditions.
  bool AllowsPython(const MinorVersion &version) const;
};

// Throws Error::InvalidArgument that names the line.
Definition ReadDefinition(const Environment &environment);

// A pip line for the environment's framework: "torch==2.11.*"; empty when it has none, or it is Python.
std::string FrameworkLine(const Environment &environment);

// Throws when PyTorch is asked for in a version that has no wheel for this Python: names the line and the nearest.
void CheckTorch(const Definition &definition, const MinorVersion &python);

}  // namespace trainyard
