// pip packages: a Python virtual environment.
#include <unistd.h>

#include <algorithm>

#include "runner/environment/kinds.h"
#include "runner/environment/python_search.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

// "ERROR: ... (from versions: 1.0, 1.1, 2.0)" -> "...; the nearest that exists is 1.1".
std::string WithNearest(const std::string &reason) {
  constexpr std::string_view kList = "(from versions: ";
  constexpr std::string_view kRequirement = "satisfies the requirement ";
  const size_t list = reason.find(kList);
  const size_t requirement = reason.find(kRequirement);
  if (list == std::string::npos || requirement == std::string::npos) return reason;
  const size_t name = requirement + kRequirement.size();
  const PackageSpec spec = ParsePackage(std::string_view(reason).substr(name, list - name));
  const std::string_view versions =
      std::string_view(reason).substr(list + kList.size(), reason.rfind(')') - list - kList.size());
  if (versions == "none") return reason;
  std::vector<MinorVersion> there;
  for (const std::string_view version : Split(versions, ',')) there.push_back(ParseMinorVersion(Trim(version)));
  const std::string nearest = NearestVersion(spec.version, there);
  return std::string(Trim(std::string_view(reason).substr(0, list))) +
         (nearest.empty() ? "" : "; the nearest version that exists is " + nearest);
}

// "WARNING: Retrying (Retry(total=0, ...)) after connection broken by '...Error('<...>: Name not known')': /whl/torch/"
// -> "Name not known, for /whl/torch/": an index that pip gave up, and went on without.
std::string Unreached(std::string_view line) {
  constexpr std::string_view kStart = "WARNING: Retrying (Retry(total=0,";
  constexpr std::string_view kBroken = "after connection broken by ";
  const size_t broken = line.find(kBroken);
  if (!line.starts_with(kStart) || broken == std::string_view::npos) return "";
  std::string_view why = line.substr(broken + kBroken.size());
  if (const size_t object = why.find(">: "); object != std::string_view::npos) why.remove_prefix(object + 3);
  const size_t path = why.rfind(": /");
  if (path == std::string_view::npos) return std::string(why);
  const size_t end = why.substr(0, path).find_last_not_of("'\")");
  return std::string(why.substr(0, end == std::string_view::npos ? path : end + 1)) + ", for " +
         std::string(why.substr(path + 2));
}

}  // namespace

std::string PipReason(std::string_view output) {
  std::string last, unreached;
  for (const std::string_view line : Split(output, '\n')) {
    if (unreached.empty()) unreached = Unreached(line);
    if (line.starts_with("ERROR: ")) {
      std::string reason(line.substr(7));
      if (unreached.empty()) return WithNearest(reason);
      // What that index has is not known: no version is the nearest.
      reason.resize(std::min(reason.size(), reason.find(" (from versions: ")));
      return reason + "; a package index was not reached (" + unreached + ")";
    }
    if (!Trim(line).empty()) last = line;
  }
  return last;
}

Json PipPackages(BuildTools *tools, const std::vector<std::string> &python) {
  std::vector<std::string> command = python;
  command.insert(command.end(), {"-m", "pip", "list", "--format=json"});
  BuildTools::Options options;
  options.quiet = true;
  const BuildTools::Result result = tools->Run(command, options);
  Json packages = Json::Array();
  if (!result.ok()) return packages;
  for (const Json &entry : Json::Parse(Trim(result.output), "pip list").Items()) {
    Json package = Json::Object();
    package.Set("name", entry.GetString("name")).Set("version", entry.GetString("version"));
    packages.Append(package);
  }
  return packages;
}

void CheckVenv(const MakeRequest &request) {
  const PythonProgram python = SearchPython(&request.tools, request.definition);
  CheckTorch(request.definition, ParseMinorVersion(python.version));
  BuildTools::Options options;
  options.quiet = true;
  if (request.tools.Run({python.path, "-c", "import venv, ensurepip"}, options).ok()) return;
  throw Error::InvalidArgument("'" + python.path +
                               "' has no module venv or ensurepip, so no virtual environment can be made with it: "
                               "install python3-venv (Debian), or use another Python");
}

Json MakeVenv(const MakeRequest &request) {
  const PythonProgram base = SearchPython(&request.tools, request.definition);
  const std::string directory = JoinPath(request.layout.Root(), "venv");
  request.tools.Say("making a virtual environment with Python " + base.version + " (" + base.path + ")");
  const BuildTools::Result venv = request.tools.Run({base.path, "-m", "venv", directory});
  if (!venv.ok()) {
    throw Error(Status::kRuntime,
                "'" + base.path + " -m venv' failed: " + PipReason(venv.output) + "; on Debian, install python3-venv");
  }
  const std::string python = JoinPath(directory, "bin/python");
  std::string lines;
  for (const Requirement &requirement : request.definition.pip) lines += requirement.text + "\n";
  if (!lines.empty()) {
    const std::string requirements = JoinPath(request.layout.Root(), "requirements.txt");
    WriteFileAtomic(requirements, lines);
    const BuildTools::Result pip =
        request.tools.Run({python, "-m", "pip", "install", "--progress-bar", "off", "-r", requirements});
    if (!pip.ok()) throw Error(Status::kRuntime, "pip: " + PipReason(pip.output));
  }
  Json ready = Json::Object();
  ready.Set("python", python)
      .Set("python_version", base.version)
      .Set("path", std::vector<std::string>{JoinPath(directory, "bin")})
      .Set("variables", std::map<std::string, std::string>{{"VIRTUAL_ENV", directory}})
      .Set("packages", PipPackages(&request.tools, {python}));
  return ready;
}

}  // namespace trainyard
