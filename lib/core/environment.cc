#include "core/environment.h"

#include <algorithm>
#include <set>

#include "core/run_id.h"
#include "util/error.h"
#include "util/hash.h"
#include "util/text.h"
#include "util/url.h"

namespace trainyard {
namespace {

constexpr char kRecipe[] = "trainyard-environment-1";

std::string UnixLines(std::string_view text) {
  std::string lines;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    lines.push_back(text[i]);
  }
  return lines;
}

std::string_view TrimEnd(std::string_view text) {
  const size_t end = text.find_last_not_of(" \t\r");
  return end == std::string_view::npos ? std::string_view() : text.substr(0, end + 1);
}

// What of a conda file says what is installed (the recipe in the header).
std::string CondaFileContent(std::string_view text) {
  std::vector<std::string> lines;
  for (const std::string_view line : Split(text, '\n')) {
    const std::string_view kept = TrimEnd(line);
    if (Trim(kept).empty() || Trim(kept).front() == '#') continue;
    if (kept.starts_with("name:") || kept.starts_with("prefix:")) continue;
    lines.emplace_back(kept);
  }
  return Join(lines, "\n");
}

// One line of a requirements file without its comment.
std::string_view PipLine(std::string_view line) {
  line = Trim(line);
  if (line.empty() || line.front() == '#') return {};
  const size_t comment = std::min(line.find(" #"), line.find("\t#"));
  return Trim(line.substr(0, comment));
}

void SetList(Json *json, const char *key, const std::vector<std::string> &list) {
  if (!list.empty()) json->Set(key, list);
}
void SetText(Json *json, const char *key, const std::string &text) {
  if (!text.empty()) json->Set(key, text);
}
void SetPart(Json *json, const char *key, const Json &part) {
  if (part.size() > 0) json->Set(key, part);
}

Json FrameworkToJson(const Environment &environment) {
  Json json = Json::Object();
  SetText(&json, "name", environment.framework);
  SetText(&json, "version", environment.framework_version);
  return json;
}

void CheckVariableNames(const Environment &environment) {
  for (const auto &[name, value] : environment.variables) {
    if (!name.empty() && name.find('=') == std::string::npos) continue;
    throw Error::InvalidArgument("variable name '" + name + "' must not be empty and must not contain '='");
  }
}

void CheckContainerParts(const Environment &environment) {
  if (!environment.dockerfile.empty()) {
    const bool own_image = HasFromLine(environment.dockerfile);
    if (own_image && !environment.base_image.empty()) {
      throw Error::InvalidArgument("the Dockerfile starts from an image of its own, and the base image is '" +
                                   environment.base_image + "': take one of them back");
    }
    if (!own_image && environment.base_image.empty()) {
      throw Error::InvalidArgument("the Dockerfile has no FROM line: add one, or set the base image that it continues");
    }
  }
  const std::string &size = environment.shm_size;
  const size_t digits = size.find_first_not_of("0123456789");
  const bool unit =
      digits == std::string::npos ||
      (digits + 1 == size.size() && digits > 0 && std::string_view("bkmgBKMG").find(size[digits]) != std::string::npos);
  if (!size.empty() && !unit) {
    throw Error::InvalidArgument("the size of shared memory must be a number with b, k, m or g, as in 2g; got '" +
                                 size + "'");
  }
  for (const std::string &argument : environment.container_arguments) {
    if (argument.empty()) throw Error::InvalidArgument("an argument of the container engine must not be empty");
  }
}

}  // namespace

const std::vector<FrameworkRow> &Frameworks() {
  static const std::vector<FrameworkRow> kRows = {
      {"Python", "", ""},
      {"PyTorch", "torch", "torch"},
      {"TensorFlow", "tensorflow", "tensorflow"},
      {"Horovod", "horovod", "horovod"},
  };
  return kRows;
}

const FrameworkRow &FindFramework(std::string_view name) {
  std::string known;
  for (const FrameworkRow &row : Frameworks()) {
    if (LowerAscii(row.name) == LowerAscii(name)) return row;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  throw Error::InvalidArgument("framework '" + std::string(name) + "' is not known; known are: " + known +
                               ". Anything else is a conda or pip package");
}

void CheckEnvironmentName(std::string_view name) {
  CheckRegistryName("environment", name);
}

bool IsReservedEnvironmentName(std::string_view name) {
  const std::string lower = LowerAscii(name);
  return lower.starts_with("azureml") || lower.starts_with("microsoft");
}

bool HasFromLine(std::string_view dockerfile) {
  for (const std::string_view line : Split(dockerfile, '\n')) {
    if (LowerAscii(Trim(line).substr(0, 5)) == "from ") return true;
  }
  return false;
}

void CheckPipLine(std::string_view line) {
  const std::string text = MaskUrls(line);
  static constexpr std::string_view kFiles[] = {"-r", "--requirement", "-c", "--constraint", "-e", "--editable"};
  const std::string_view word = line.substr(0, line.find_first_of(" =\t"));
  bool names_file = line.starts_with("./") || line.starts_with("../") || line.starts_with("/") ||
                    line.starts_with("~") || line.find("file://") != std::string_view::npos;
  for (const std::string_view option : kFiles) names_file = names_file || word == option;
  // "-rother.txt" is the same as "-r other.txt".
  names_file = names_file || (word.size() > 2 && word[0] == '-' && word[1] != '-' &&
                              std::string_view("rce").find(word[1]) != std::string_view::npos);
  if (names_file) {
    throw Error::InvalidArgument("pip line '" + text +
                                 "' names a file of this machine, which would not travel with the environment: write "
                                 "the requirements themselves, or put the code into the job's source directory");
  }
  if (line.find('\n') != std::string_view::npos) {
    throw Error::InvalidArgument("a pip package is one line; use the pip requirements for several");
  }
}

bool Environment::IsSystem() const {
  return !WantsContainer() && interpreter.empty() && conda_file.empty() && conda_packages.empty() &&
         pip_requirements.empty() && pip_packages.empty() && framework.empty();
}

std::vector<std::string> Environment::PipLines() const {
  std::vector<std::string> lines;
  std::set<std::string> seen;
  const auto add = [&](std::string_view line) {
    line = PipLine(line);
    if (!line.empty() && seen.emplace(line).second) lines.emplace_back(line);
  };
  for (const std::string_view line : Split(pip_requirements, '\n')) add(line);
  for (const std::string &package : pip_packages) add(package);
  return lines;
}

void Environment::Check() const {
  CheckEnvironmentName(name);
  CheckCredentials();
  CheckVariableNames(*this);
  CheckContainerParts(*this);
  for (const std::string &line : PipLines()) CheckPipLine(line);
  if (!framework.empty()) FindFramework(framework);
  if (framework.empty() && !framework_version.empty()) {
    throw Error::InvalidArgument("a framework version needs the framework's name");
  }
  for (const std::string &package : conda_packages) {
    if (Trim(package).empty()) throw Error::InvalidArgument("a conda package must not be empty");
  }
  const bool installs = !conda_file.empty() || !conda_packages.empty() || !PipLines().empty();
  if (!interpreter.empty() && installs && !WantsContainer()) {
    throw Error::InvalidArgument("environment '" + name + "' names the interpreter '" + interpreter +
                                 "', which is used as it is, and packages to install: take one of them back");
  }
}

std::string Environment::ContentHash() const {
  Json json = Json::Object();
  json.Set("recipe", kRecipe);
  SetText(&json, "base_image", base_image);
  SetText(&json, "dockerfile", UnixLines(dockerfile));
  Json conda = Json::Object();
  SetText(&conda, "file", CondaFileContent(conda_file));
  std::vector<std::string> packages = conda_packages;
  std::sort(packages.begin(), packages.end());
  SetList(&conda, "packages", packages);
  SetList(&conda, "channels", conda_channels);
  SetPart(&json, "conda", conda);
  std::vector<std::string> pip = PipLines();
  std::sort(pip.begin(), pip.end());
  SetList(&json, "pip", pip);
  SetPart(&json, "framework", FrameworkToJson(*this));
  SetText(&json, "interpreter", interpreter);
  return Sha256Hex(json.Canonical());
}

Json Environment::ToJson() const {
  Json json = Json::Object();
  json.Set("name", name);
  SetText(&json, "version", version);
  Json container = Json::Object();
  SetText(&container, "base_image", base_image);
  SetText(&container, "dockerfile", dockerfile);
  Json credentials = Json::Object();
  SetText(&credentials, "address", registry.address);
  SetText(&credentials, "username", registry.username);
  SetPart(&container, "registry", credentials);
  SetText(&container, "shm_size", shm_size);
  SetList(&container, "arguments", container_arguments);
  SetPart(&json, "container", container);
  SetText(&json, "interpreter", interpreter);
  Json conda = Json::Object();
  SetText(&conda, "file", conda_file);
  SetList(&conda, "packages", conda_packages);
  SetList(&conda, "channels", conda_channels);
  SetPart(&json, "conda", conda);
  Json pip = Json::Object();
  SetText(&pip, "requirements", pip_requirements);
  SetList(&pip, "packages", pip_packages);
  SetPart(&json, "pip", pip);
  SetPart(&json, "framework", FrameworkToJson(*this));
  if (!variables.empty()) json.Set("variables", variables);
  return json;
}

Environment Environment::FromJson(const Json &json) {
  json.CheckKeys({"name", "version", "container", "interpreter", "conda", "pip", "framework", "variables"});
  Environment environment;
  environment.name = json.GetString("name", "");
  environment.version = json.GetString("version", "");
  environment.interpreter = json.GetString("interpreter", "");
  environment.variables = json.GetStringMap("variables");
  if (const auto part = json.Find("container")) {
    part->CheckKeys({"base_image", "dockerfile", "registry", "shm_size", "arguments"});
    environment.base_image = part->GetString("base_image", "");
    environment.dockerfile = part->GetString("dockerfile", "");
    environment.shm_size = part->GetString("shm_size", "");
    environment.container_arguments = part->GetStringList("arguments");
    if (const auto credentials = part->Find("registry")) {
      credentials->CheckKeys({"address", "username"});
      environment.registry.address = credentials->GetString("address", "");
      environment.registry.username = credentials->GetString("username", "");
    }
  }
  if (const auto part = json.Find("conda")) {
    part->CheckKeys({"file", "packages", "channels"});
    environment.conda_file = part->GetString("file", "");
    environment.conda_packages = part->GetStringList("packages");
    environment.conda_channels = part->GetStringList("channels");
  }
  if (const auto part = json.Find("pip")) {
    part->CheckKeys({"requirements", "packages"});
    environment.pip_requirements = part->GetString("requirements", "");
    environment.pip_packages = part->GetStringList("packages");
  }
  if (const auto part = json.Find("framework")) {
    part->CheckKeys({"name", "version"});
    environment.framework = part->GetString("name", "");
    environment.framework_version = part->GetString("version", "");
  }
  return environment;
}

Environment Environment::Parse(std::string_view text, std::string_view source_name) {
  return FromJson(Json::Parse(text, source_name));
}

}  // namespace trainyard
