#include "runner/environment/kinds.h"

#include <unistd.h>

#include "runner/environment/python_search.h"
#include "util/error.h"

namespace trainyard {
namespace {

bool WantsContainer(const Environment &environment, const Definition & /*definition*/, BuildTools * /*tools*/) {
  return environment.WantsContainer();
}
bool WantsInterpreter(const Environment &environment, const Definition & /*definition*/, BuildTools * /*tools*/) {
  return !environment.interpreter.empty();
}
// Where conda packages are asked for, only conda can; and it brings a Python that is asked for and not there.
bool WantsConda(const Environment & /*environment*/, const Definition &definition, BuildTools *tools) {
  if (!definition.conda.empty()) return true;
  return !definition.python.empty() && !FindCondaTool().empty() && !LookForPython(tools, definition);
}
bool WantsVenv(const Environment & /*environment*/, const Definition & /*definition*/, BuildTools * /*tools*/) {
  return true;
}

Json MakeNothing(const MakeRequest & /*request*/) {
  return {};
}

bool UseInterpreter(const MakeRequest &request, const Json & /*ready*/, PreparedEnvironment *prepared) {
  prepared->python = FindInPath(request.environment.interpreter);
  return true;
}

bool UsePrefix(const MakeRequest & /*request*/, const Json &ready, PreparedEnvironment *prepared) {
  prepared->python = ready.GetString("python");
  prepared->path = ready.GetStringList("path");
  prepared->variables = ready.GetStringMap("variables");
  return access(prepared->python.c_str(), X_OK) == 0;
}

constexpr KindRow kKinds[] = {
    {"container", &WantsContainer, &CheckContainer, &MakeContainer, &UseContainer},
    {"interpreter", &WantsInterpreter, &CheckInterpreter, &MakeNothing, &UseInterpreter},
    {"conda", &WantsConda, &CheckConda, &MakeConda, &UsePrefix},
    {"venv", &WantsVenv, &CheckVenv, &MakeVenv, &UsePrefix},
};

}  // namespace

std::span<const KindRow> Kinds() {
  return kKinds;
}

const KindRow &KindOf(const Environment &environment, const Definition &definition, BuildTools *tools) {
  for (const KindRow &row : kKinds) {
    if (row.wanted(environment, definition, tools)) return row;
  }
  throw Error::Internal("no kind of environment is wanted");
}

}  // namespace trainyard
