// The environments of a local workspace: registered ones, those that come with the library, and what a job's
// environment stands for.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "drivers/local/ask_runner.h"
#include "drivers/local/curated.h"
#include "drivers/local/local_driver.h"
#include "engine/runtime.h"
#include "util/build_id.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/inside.h"
#include "util/log.h"
#include "util/process.h"
#include "util/text.h"

namespace trainyard {
namespace {

// Looking for interpreters, and the first look at a container engine.
constexpr std::chrono::seconds kCheckTimeLimit{120};
constexpr useconds_t kBuildLookUs = 50000;

// For "default": images with Python that everybody can fetch. The PyTorch is that of the environments that come with
// the library; of its images the one with the older CUDA, which more drivers run.
constexpr char kDefaultCpuImage[] = "docker.io/library/python:3.11-slim-bookworm";
constexpr char kDefaultGpuImage[] = "docker.io/pytorch/pytorch:2.11.0-cuda12.8-cudnn9-runtime";

int64_t VersionNumber(const std::string &name, const std::string &version) {
  if (version.empty()) return 0;
  const auto number = ParseInt64(version);
  if (number && *number > 0) return *number;
  throw Error::NotFound("environment '" + name + "' has no version '" + version + "': versions are 1, 2, ...",
                        {{"environment", name + ":" + version}});
}

void CheckCuratedIsUnchanged(const Environment &environment) {
  const std::vector<std::string> names = CuratedNames();
  const bool curated_name = std::find(names.begin(), names.end(), environment.name) != names.end();
  if (!curated_name && !IsReservedEnvironmentName(environment.name)) return;
  std::string warning;
  const auto original = FindCurated(environment.name, &warning);
  if (original && original->ContentHash() == environment.ContentHash()) return;
  if (!original) {
    throw Error::InvalidArgument("environment name '" + environment.name +
                                 "' is reserved: names that start with AzureML or Microsoft are not for environments "
                                 "of your own");
  }
  throw Error::InvalidArgument("environment '" + environment.name +
                               "' came with the library and was changed: give it a name of its own "
                               "(ty_environment_clone), so that the name keeps its meaning");
}

// What is in `log` from `offset` on goes to the descriptor.
void CopyLog(const std::string &log, int output, uint64_t *offset) {
  if (output < 0) return;
  const UniqueFd file = OpenRegularFile(log);
  if (!file.valid()) return;
  char buffer[16384];
  while (const size_t count = ReadAt(file.get(), buffer, sizeof buffer, *offset, log)) {
    WriteToHostDescriptor(output, {buffer, count}, "the build log's descriptor");
    *offset += count;
  }
}

}  // namespace

Environment LocalDriver::GetEnvironment(const std::string &name, const std::string &version) {
  CheckEnvironmentName(name);
  std::string warning;
  if (auto curated = FindCurated(name, &warning)) {
    if (!warning.empty()) Log(LogLevel::kWarning, warning);
    return *curated;
  }
  if (auto found = store()->environments().Find(name, VersionNumber(name, version))) return *found;
  const std::vector<std::string> versions = ListEnvironmentVersions(name);
  if (!versions.empty()) {
    throw Error::NotFound("environment '" + name + "' has no version " + version + "; the latest is " + versions.back(),
                          {{"environment", name + ":" + version}});
  }
  std::vector<std::string> known = ListEnvironments();
  known.emplace_back("system");
  throw Error::NotFound("there is no environment '" + name + "' in the workspace" + DidYouMean(name, known) +
                            " (there are: " + Join(known, ", ") + ")",
                        {{"environment", name}});
}

Environment LocalDriver::RegisterEnvironment(const Environment &environment) {
  const std::vector<std::string> curated = CuratedNames();
  if (environment.name == "system" || std::find(curated.begin(), curated.end(), environment.name) != curated.end()) {
    throw Error::InvalidArgument("environment name '" + environment.name +
                                 "' belongs to one that comes with the library: clone it under a name of your own");
  }
  return store()->environments().Register(environment);
}

std::vector<std::string> LocalDriver::ListEnvironments() {
  std::vector<std::string> names = store()->environments().Names();
  const std::vector<std::string> curated = CuratedNames();
  names.insert(names.end(), curated.begin(), curated.end());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> LocalDriver::ListEnvironmentVersions(const std::string &name) {
  std::vector<std::string> versions;
  for (const int64_t version : store()->environments().Versions(name)) versions.push_back(std::to_string(version));
  return versions;
}

void LocalDriver::DeleteEnvironment(const std::string &name, const std::string &version) {
  const int64_t number = VersionNumber(name, version);
  if (number == 0) throw Error::InvalidArgument("say which version of environment '" + name + "' to delete");
  if (store()->environments().Delete(name, number)) return;
  throw Error::NotFound("there is no environment '" + name + ":" + version + "' in the workspace",
                        {{"environment", name + ":" + version}});
}

void LocalDriver::ResolveEnvironment(Job *job, std::vector<std::string> *warnings) {
  if (job->environment_definition) {
    CheckCuratedIsUnchanged(*job->environment_definition);
  } else if (job->environment != "system") {
    const size_t colon = job->environment.find(':');
    const std::string name = job->environment.substr(0, colon);
    std::string warning;
    if (auto curated = FindCurated(name, &warning)) {
      job->environment_definition = std::move(curated);
      if (!warning.empty()) warnings->push_back(warning);
    } else {
      const std::string version = colon == std::string::npos ? "" : job->environment.substr(colon + 1);
      job->environment_definition = GetEnvironment(name, version);
    }
  }
  if (!job->environment_definition) return;
  Environment &environment = *job->environment_definition;
  if (environment.base_image == "default")
    environment.base_image = job->resources.gpus > 0 ? kDefaultGpuImage : kDefaultCpuImage;
  job->Check();  // not every job takes every environment
}

void LocalDriver::CheckEnvironment(const Environment &environment) {
  if (environment.IsSystem()) return;
  // Made before: what is to know is known.
  if (PathExists(store()->layout().Environment(environment.ContentHash()).Ready())) return;
  Json request = Json::Object();
  request.Set("environment", environment.ToJson());
  const Json report = AskRunner("check-environment", {location_}, request, kCheckTimeLimit);
  for (const std::string &warning : report.GetStringList("warnings")) Log(LogLevel::kWarning, warning);
  const std::vector<std::string> problems = report.GetStringList("problems");
  if (problems.empty()) return;
  throw Error::InvalidArgument("environment '" + environment.name + "': " + Join(problems, "; "),
                               {{"environment", environment.name}});
}

std::string LocalDriver::BuildEnvironment(const Environment &given, int log) {
  Job job;  // a name stands for the same here as in a job
  job.shell_command = ":";
  job.environment = given.name;
  job.environment_definition = given;
  std::vector<std::string> warnings;
  ResolveEnvironment(&job, &warnings);
  const Environment &environment = *job.environment_definition;
  environment.Check();
  CheckEnvironment(environment);

  const TempDir directory("trainyard-build");
  const std::string report_path = JoinPath(directory.path(), "report.json");
  Json request = Json::Object();
  request.Set("environment", environment.ToJson()).Set("password", environment.registry.password);
  const ProcessIdentity host = ThisProcess();
  DetachedCommand command;
  command.program = RunnerPath();
  command.arguments = {
      "build-environment", location_, directory.path(), std::to_string(host.pid), std::to_string(host.start_time),
      "--build-id",        BuildId()};
  command.input = request.Dump();
  const DetachedProcess builder = SpawnDetached(command);
  uint64_t offset = 0;
  for (;;) {
    const bool alive = IsProcessAlive(builder.pid, builder.start_time, "");
    const bool done = PathExists(report_path);
    CopyLog(JoinPath(directory.path(), "log"), log, &offset);
    if (done) break;
    if (!alive) throw Error(Status::kRuntime, "the build of environment '" + environment.name + "' ended unexpectedly");
    usleep(kBuildLookUs);
  }
  const Json report = Json::Parse(ReadFile(report_path), "report");
  if (const std::string message = report.GetString("error", ""); !message.empty())
    throw Error(static_cast<Status>(report.GetInt64("status")), message, {{"environment", environment.name}});
  return report.DumpPretty();
}

}  // namespace trainyard
