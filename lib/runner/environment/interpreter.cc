// An interpreter that is used as it is: nothing is made, and what can be wrong with it is said before ranks start.
#include "runner/environment/kinds.h"
#include "runner/environment/python_search.h"
#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

// A version of the framework's package; "" when it is not there.
constexpr char kVersionOf[] =
    "import importlib.util, importlib.metadata as m, sys\n"
    "name, module = sys.argv[1:]\n"
    "try:\n"
    "  print(m.version(name))\n"
    "except m.PackageNotFoundError:\n"
    "  print('0' if importlib.util.find_spec(module) else '')\n";

}  // namespace

void CheckInterpreter(const MakeRequest &request) {
  const std::string &interpreter = request.environment.interpreter;
  if (FindInPath(interpreter).empty()) {
    throw Error::InvalidArgument("the interpreter '" + interpreter + "' is not there, or cannot be executed" +
                                 (interpreter.find('/') == std::string::npos ? ": it is not in PATH" : ""));
  }
  const auto python = ProbePython(&request.tools, interpreter);
  if (!python) {
    throw Error::InvalidArgument("the interpreter '" + interpreter + "' is no Python that works: try '" + interpreter +
                                 " --version'");
  }
  if (!request.definition.AllowsPython(ParseMinorVersion(python->version))) {
    throw Error::InvalidArgument("the interpreter '" + interpreter + "' is Python " + python->version +
                                 ", and the framework setting asks for '" + request.definition.python[0].text + "'");
  }
  const std::string &framework = request.environment.framework;
  if (framework.empty() || FindFramework(framework).package.empty()) return;
  const FrameworkRow &row = FindFramework(framework);
  BuildTools::Options options;
  options.quiet = true;
  const BuildTools::Result result =
      request.tools.Run({python->path, "-c", kVersionOf, std::string(row.package), std::string(row.module)}, options);
  const std::string version(Trim(result.output));
  if (!result.ok() || version.empty()) {
    throw Error::InvalidArgument("the environment asks for " + framework + ", and the interpreter '" + interpreter +
                                 "' has no module '" + std::string(row.module) + "': '" + interpreter +
                                 " -m pip install " + std::string(row.package) + "' installs it");
  }
  const PackageSpec wanted = ParsePackage(FrameworkLine(request.environment));
  if (version == "0" || VersionSpec(wanted.version).Allows(ParseMinorVersion(version))) return;
  throw Error::InvalidArgument("the environment asks for " + framework + " " + wanted.version +
                               ", and the interpreter '" + interpreter + "' has " + version);
}

}  // namespace trainyard
