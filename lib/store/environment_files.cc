#include "store/environment_files.h"

#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr char kJsonFile[] = "azureml_environment.json";
constexpr char kCondaFile[] = "conda_dependencies.yml";
constexpr char kDockerFile[] = "BaseDockerfile";

// A YAML string that needs no further thought.
std::string Quoted(const std::string &text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return quoted + "'";
}

// For people and tools that look for packages here; the definition itself is in the JSON.
std::string MakeCondaFile(const Environment &environment) {
  const std::vector<std::string> pip = environment.PipLines();
  if (environment.conda_packages.empty() && pip.empty()) return "";
  std::string text = "name: " + Quoted(environment.name) + "\n";
  if (!environment.conda_channels.empty()) text += "channels:\n";
  for (const std::string &channel : environment.conda_channels) text += "- " + Quoted(channel) + "\n";
  text += "dependencies:\n";
  for (const std::string &package : environment.conda_packages) text += "- " + Quoted(package) + "\n";
  if (!pip.empty()) text += "- pip:\n";
  for (const std::string &line : pip) text += "  - " + Quoted(line) + "\n";
  return text;
}

Json SdkJson(const Environment &environment) {
  Json python = Json::Object();
  python.Set("interpreterPath", environment.interpreter.empty() ? "python" : environment.interpreter)
      .Set("userManagedDependencies", !environment.interpreter.empty());
  Json docker = Json::Object();
  docker.Set("enabled", environment.WantsContainer());
  if (!environment.base_image.empty()) docker.Set("baseImage", environment.base_image);
  if (!environment.registry.address.empty()) {
    Json registry = Json::Object();
    registry.Set("address", environment.registry.address).Set("username", environment.registry.username);
    docker.Set("baseImageRegistry", registry);
  }
  if (!environment.shm_size.empty()) docker.Set("shmSize", environment.shm_size);
  docker.Set("arguments", environment.container_arguments);
  Json json = Json::Object();
  json.Set("name", environment.name);
  if (!environment.version.empty()) json.Set("version", environment.version);
  json.Set("environmentVariables", environment.variables).Set("python", python).Set("docker", docker);
  return json;
}

Environment FromSdkJson(const Json &json) {
  Environment environment;
  environment.name = json.GetString("name", "");
  environment.variables = json.GetStringMap("environmentVariables");
  if (const auto python = json.Find("python")) {
    if (python->GetBool("userManagedDependencies", false))
      environment.interpreter = python->GetString("interpreterPath", "python");
  }
  if (const auto docker = json.Find("docker")) {
    // The SDK writes a base image also where none is used.
    if (docker->GetBool("enabled", false)) environment.base_image = docker->GetString("baseImage", "");
    environment.shm_size = docker->GetString("shmSize", "");
    environment.container_arguments = docker->GetStringList("arguments");
    if (const auto registry = docker->Find("baseImageRegistry")) {
      environment.registry.address = registry->GetString("address", "");
      environment.registry.username = registry->GetString("username", "");
    }
  }
  return environment;
}

}  // namespace

void SaveEnvironment(const Environment &environment, const std::string &directory, bool overwrite) {
  environment.Check();
  Environment rest = environment;
  rest.conda_file.clear();
  rest.dockerfile.clear();
  Json json = SdkJson(environment);
  json.Set("trainyard", rest.ToJson());
  const std::string conda = environment.conda_file.empty() ? MakeCondaFile(environment) : environment.conda_file;
  const std::pair<const char *, std::string> files[] = {
      {kJsonFile, json.DumpPretty()}, {kCondaFile, conda}, {kDockerFile, environment.dockerfile}};
  MakeDirs(directory, 0755);
  for (const auto &[name, text] : files) {
    const std::string path = JoinPath(directory, name);
    if (!overwrite && PathExists(path)) {
      throw Error(Status::kAlreadyExists, "'" + path + "' exists already: choose another directory, or overwrite",
                  {{"path", path}});
    }
  }
  for (const auto &[name, text] : files) {
    const std::string path = JoinPath(directory, name);
    if (text.empty()) {
      RemoveFile(path);
    } else {
      WriteFileAtomic(path, text, 0644);
    }
  }
}

Environment LoadEnvironment(const std::string &directory) {
  const std::string path = JoinPath(directory, kJsonFile);
  const auto text = ReadFileIfExists(path, 16 << 20);
  if (!text) throw Error::NotFound("'" + directory + "' holds no environment: no " + kJsonFile, {{"path", path}});
  const Json json = Json::Parse(*text, path);
  const auto own = json.Find("trainyard");
  Environment environment = own ? Environment::FromJson(*own) : FromSdkJson(json);
  const std::string conda = ReadFileIfExists(JoinPath(directory, kCondaFile), 16 << 20).value_or("");
  // A file that was made of the packages says nothing new.
  if (!own || conda != MakeCondaFile(environment)) environment.conda_file = conda;
  environment.dockerfile = ReadFileIfExists(JoinPath(directory, kDockerFile), 16 << 20).value_or("");
  if (HasFromLine(environment.dockerfile) && !own) environment.base_image.clear();  // the SDK's default, not used
  environment.Check();
  return environment;
}

}  // namespace trainyard
