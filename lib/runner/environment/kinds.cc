#include "runner/environment/kinds.h"

#include <unistd.h>

#include "util/error.h"

namespace trainyard {
namespace {

bool WantsContainer(const Environment &environment, const Definition & /*definition*/) {
  return environment.WantsContainer();
}
bool WantsInterpreter(const Environment &environment, const Definition & /*definition*/) {
  return !environment.interpreter.empty();
}
// Without a Python of the version that is asked for, conda brings one; where conda packages are asked for, only it can.
bool WantsConda(const Environment & /*environment*/, const Definition &definition) {
  return !definition.conda.empty();
}
bool WantsVenv(const Environment & /*environment*/, const Definition & /*definition*/) {
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

const KindRow &KindOf(const Environment &environment, const Definition &definition) {
  for (const KindRow &row : kKinds) {
    if (row.wanted(environment, definition)) return row;
  }
  throw Error::Internal("no kind of environment is wanted");
}

}  // namespace trainyard
