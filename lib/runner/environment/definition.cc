#include "runner/environment/definition.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

const std::vector<std::string> kCondaFileKeys = {"name", "channels", "dependencies", "prefix", "variables"};
constexpr std::string_view kStandIns[] = {"azureml-defaults", "azureml-core", "azureml-sdk"};

std::string LineOf(const YAML::Node &node) {
  return "line " + std::to_string(node.Mark().line + 1) + " of the conda file";
}

[[noreturn]] void Fail(const std::string &where, const std::string &what) {
  throw Error::InvalidArgument(where + " " + what);
}

std::string TextOf(const YAML::Node &node, const char *what) {
  if (!node.IsScalar() || node.Scalar().empty()) Fail(LineOf(node), std::string("must be ") + what);
  return node.Scalar();
}

void AddPip(Definition *definition, const std::string &line, const std::string &where) {
  const std::string name = ParsePackage(line).name;
  if (std::find(std::begin(kStandIns), std::end(kStandIns), name) != std::end(kStandIns)) {
    definition->left_out.push_back(line);
    return;
  }
  try {
    CheckPipLine(line);
  } catch (const Error &error) {
    Fail(where + ":", error.what());
  }
  definition->pip.push_back({line, where});
}

void AddConda(Definition *definition, const std::string &text, const std::string &where) {
  const PackageSpec spec = ParsePackage(text);
  if (spec.name.empty()) Fail(where, "('" + text + "') names no package");
  if (spec.name == "pip") return;  // every Python comes with it
  if (spec.name == "python") {
    definition->python.push_back({text, where});
  } else {
    definition->conda.push_back({text, where});
  }
}

void ReadDependencies(const YAML::Node &list, Definition *definition) {
  if (!list.IsSequence()) Fail(LineOf(list), "('dependencies') must be a list");
  for (const YAML::Node &entry : list) {
    if (!entry.IsMap()) {
      AddConda(definition, TextOf(entry, "a package, or 'pip:' with a list of packages"), LineOf(entry));
      continue;
    }
    for (const auto &member : entry) {
      if (member.first.Scalar() != "pip" || !(member.second.IsSequence() || member.second.IsNull())) {
        Fail(LineOf(member.first), "must be a package, or 'pip:' with a list of packages");
      }
      for (const YAML::Node &line : member.second) AddPip(definition, TextOf(line, "a pip package"), LineOf(line));
    }
  }
}

void ReadCondaFile(const std::string &text, Definition *definition, std::vector<std::string> *channels) {
  if (Trim(text).empty()) return;
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::Exception &error) {
    Fail("line " + std::to_string(error.mark.line + 1) + " of the conda file", "is not YAML: " + error.msg);
  }
  if (!root.IsMap()) Fail("line 1 of the conda file", "must start a mapping with 'dependencies:'");
  for (const auto &member : root) {
    const std::string key = member.first.Scalar();
    if (std::find(kCondaFileKeys.begin(), kCondaFileKeys.end(), key) == kCondaFileKeys.end())
      Fail(LineOf(member.first), "has the unknown key '" + key + "'" + DidYouMean(key, kCondaFileKeys));
    if (key == "dependencies" && !member.second.IsNull()) ReadDependencies(member.second, definition);
    if (key != "channels" || member.second.IsNull()) continue;
    if (!member.second.IsSequence()) Fail(LineOf(member.second), "('channels') must be a list");
    for (const YAML::Node &channel : member.second) channels->push_back(TextOf(channel, "a channel"));
  }
}

}  // namespace

bool Definition::AllowsPython(const MinorVersion &version) const {
  return std::all_of(python.begin(), python.end(), [&](const Requirement &requirement) {
    return VersionSpec(ParsePackage(requirement.text).version).Allows(version);
  });
}

std::string FrameworkLine(const Environment &environment) {
  if (environment.framework.empty()) return "";
  const std::string package(FindFramework(environment.framework).package);
  const std::string &version = environment.framework_version;
  if (package.empty() || version.empty()) return package;
  if (std::string_view("<>=!~").find(version[0]) != std::string_view::npos) return package + version;
  // "2.11" means any release of it.
  const bool whole = std::count(version.begin(), version.end(), '.') >= 2;
  return package + "==" + version + (whole ? "" : ".*");
}

Definition ReadDefinition(const Environment &environment) {
  Definition definition;
  std::vector<std::string> channels = environment.conda_channels;
  ReadCondaFile(environment.conda_file, &definition, &channels);
  definition.channels = std::move(channels);
  for (const std::string &package : environment.conda_packages) {
    AddConda(&definition, package, "conda package");
  }
  for (const std::string &line : environment.PipLines()) AddPip(&definition, line, "pip package");
  if (const std::string line = FrameworkLine(environment); !line.empty())
    definition.pip.push_back({line, "the framework"});
  if (LowerAscii(environment.framework) == "python" && !environment.framework_version.empty()) {
    const std::string &version = environment.framework_version;
    const bool plain = std::string_view("<>=!~").find(version[0]) == std::string_view::npos;
    definition.python.push_back({"python" + std::string(plain ? "=" : "") + version, "the framework"});
  }
  return definition;
}

namespace {

// Whether a condition on a version is met by what is newer than the newest that is known; the installer knows those.
bool AsksForNewer(std::string_view condition, const MinorVersion &newest) {
  if (VersionSpec(condition).Allows({newest.major, newest.minor + 100})) return true;
  const size_t digit = condition.find_first_of("0123456789");
  return digit != std::string_view::npos && ParseMinorVersion(condition.substr(digit)) > newest;
}

}  // namespace

void CheckTorch(const Definition &definition, const MinorVersion &python) {
  const std::vector<MinorVersion> releases = TorchReleasesFor(python);
  if (releases.empty()) return;  // a Python that the table does not know
  const auto check = [&](const Requirement &requirement) {
    const PackageSpec spec = ParsePackage(requirement.text);
    if (spec.name != "torch" && spec.name != "pytorch") return;
    const VersionSpec wanted(spec.version);
    const bool exists =
        std::any_of(releases.begin(), releases.end(), [&](const MinorVersion &v) { return wanted.Allows(v); });
    if (exists || (GetsNewTorch(python) && AsksForNewer(spec.version, releases.back()))) return;
    Fail(requirement.where, "('" + requirement.text + "') asks for a PyTorch that does not exist for Python " +
                                python.Text() + "; the nearest that does is " + NearestVersion(spec.version, releases));
  };
  std::for_each(definition.conda.begin(), definition.conda.end(), check);
  std::for_each(definition.pip.begin(), definition.pip.end(), check);
}

}  // namespace trainyard
