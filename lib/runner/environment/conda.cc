// Conda packages beyond Python: an environment made by micromamba, mamba or conda, whichever is there.
#include <yaml-cpp/yaml.h>

#include "runner/environment/kinds.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

struct CondaTool {
  const char *program;
  std::vector<std::string> create;  // then: -p <prefix> -f <file>
};
const std::vector<CondaTool> &CondaTools() {
  static const std::vector<CondaTool> kTools = {
      {"micromamba", {"create", "-y"}},
      {"mamba", {"env", "create"}},
      {"conda", {"env", "create"}},
  };
  return kTools;
}

std::string CondaFile(const Definition &definition) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  if (!definition.channels.empty()) out << YAML::Key << "channels" << YAML::Value << definition.channels;
  out << YAML::Key << "dependencies" << YAML::Value << YAML::BeginSeq;
  for (const Requirement &requirement : definition.python) out << requirement.text;
  if (definition.python.empty()) out << "python";
  for (const Requirement &requirement : definition.conda) out << requirement.text;
  out << "pip";
  if (!definition.pip.empty()) {
    out << YAML::BeginMap << YAML::Key << "pip" << YAML::Value << YAML::BeginSeq;
    for (const Requirement &requirement : definition.pip) out << requirement.text;
    out << YAML::EndSeq << YAML::EndMap;
  }
  out << YAML::EndSeq << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

// conda-meta/<name>-<version>-<build>.json, one a package.
Json InstalledPackages(const std::string &prefix) {
  Json packages = Json::Array();
  const std::string directory = JoinPath(prefix, "conda-meta");
  if (!IsDirectory(directory)) return packages;
  for (const DirEntry &entry : ListDir(directory)) {
    if (!entry.name.ends_with(".json")) continue;
    const std::string stem = entry.name.substr(0, entry.name.size() - 5);
    const size_t build = stem.rfind('-');
    const size_t version = build == std::string::npos ? build : stem.rfind('-', build - 1);
    if (version == std::string::npos) continue;
    Json package = Json::Object();
    package.Set("name", stem.substr(0, version))
        .Set("version", stem.substr(version + 1, build - version - 1))
        .Set("build", stem.substr(build + 1));
    packages.Append(package);
  }
  return packages;
}

// The line that says why: one with "error" or "could not" in it, else the last.
std::string CondaReason(std::string_view output) {
  std::string last;
  for (const std::string_view line : Split(output, '\n')) {
    const std::string lower = LowerAscii(line);
    const bool says = lower.find("error") != std::string::npos || lower.find("could not") != std::string::npos ||
                      lower.find("nothing provides") != std::string::npos;
    if (says && !Trim(line).ends_with(':')) return std::string(Trim(line));
    if (!Trim(line).empty()) last = Trim(line);
  }
  return last;
}

}  // namespace

std::string FindCondaTool() {
  for (const CondaTool &tool : CondaTools()) {
    if (const std::string path = FindInPath(tool.program); !path.empty()) return path;
  }
  return "";
}

void CheckConda(const MakeRequest &request) {
  if (!FindCondaTool().empty()) return;  // its solver knows what exists
  for (const Requirement &requirement : request.definition.conda) {
    const std::string name = ParsePackage(requirement.text).name;
    if (name == "pytorch" || name == "torch") CheckVenv(request);  // names the nearest Python and PyTorch
  }
  if (!request.definition.python.empty()) CheckVenv(request);
  const Requirement &first = request.definition.conda.front();
  throw Error::InvalidArgument(first.where + " asks for the conda package '" + first.text +
                               "', and none of micromamba, mamba and conda is in PATH: install micromamba, or ask for "
                               "a pip package instead, or use a container image that has it");
}

Json MakeConda(const MakeRequest &request) {
  const std::string program = FindCondaTool();
  if (program.empty()) CheckConda(request);
  const std::string prefix = JoinPath(request.layout.Root(), "conda");
  const std::string file = JoinPath(request.layout.Root(), "conda_dependencies.yml");
  WriteFileAtomic(file, CondaFile(request.definition));
  std::vector<std::string> command = {program};
  for (const CondaTool &tool : CondaTools()) {
    if (BaseName(program) == tool.program) command.insert(command.end(), tool.create.begin(), tool.create.end());
  }
  command.insert(command.end(), {"-p", prefix, "-f", file});
  const BuildTools::Result result = request.tools.Run(command);
  if (!result.ok()) throw Error(Status::kRuntime, BaseName(program) + ": " + CondaReason(result.output));
  const std::string python = JoinPath(prefix, "bin/python");
  Json ready = Json::Object();
  ready.Set("python", python)
      .Set("path", std::vector<std::string>{JoinPath(prefix, "bin")})
      .Set("variables", std::map<std::string, std::string>{{"CONDA_PREFIX", prefix}})
      .Set("packages", InstalledPackages(prefix));
  return ready;
}

}  // namespace trainyard
