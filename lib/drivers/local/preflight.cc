#include "drivers/local/preflight.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "core/data_reference.h"
#include "drivers/local/git_source.h"
#include "drivers/local/needs.h"
#include "engine/engine.h"
#include "engine/runtime.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hash.h"
#include "util/log.h"
#include "util/text.h"
#include "util/url.h"

namespace trainyard {
namespace {

void CheckDirectory(const std::string &path, const std::string &what) {
  if (!PathExists(path)) throw Error::NotFound(what + " '" + path + "' does not exist", {{"path", path}});
  if (!IsDirectory(path)) throw Error::InvalidArgument(what + " '" + path + "' is not a directory", {{"path", path}});
  if (access(path.c_str(), R_OK | X_OK) != 0) throw Error::FromErrno(errno, "read", path);
}

void CheckReadableFile(const std::string &path, const std::string &what) {
  if (!PathExists(path)) throw Error::NotFound(what + " file '" + path + "' does not exist", {{"path", path}});
  if (access(path.c_str(), R_OK) != 0) throw Error::FromErrno(errno, "read", path);
}

bool IsProgram(const std::string &path) {
  return !IsDirectory(path) && access(path.c_str(), X_OK) == 0;
}

bool HasEnvironment(const Job &job) {
  return job.environment_definition && !job.environment_definition->IsSystem();
}

// The PATH that the ranks will have.
std::string SearchPath(const Job &job) {
  if (const auto own = job.variables.find("PATH"); own != job.variables.end()) return own->second;
  const char *inherited = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe)
  return inherited == nullptr ? "/usr/bin:/bin" : inherited;
}

// As execvp would find it; empty when it does not.
std::string FindProgram(const std::string &program, const std::string &search) {
  for (std::string_view directory : Split(search, ':')) {
    std::string path = JoinPath(directory.empty() ? "." : directory, program);
    if (IsProgram(path)) return path;
  }
  return "";
}

void CheckScript(const Job &job) {
  const std::string path = JoinPath(job.source_directory, job.script);
  if (!PathExists(path)) {
    throw Error::NotFound("script '" + job.script + "' is not in the source directory '" + job.source_directory +
                              "': name it relative to that directory",
                          {{"path", path}, {"script", job.script}});
  }
  if (IsDirectory(path)) throw Error::InvalidArgument("script '" + path + "' is a directory", {{"path", path}});
  if (LanguageOf(job.script) == ScriptLanguage::kPython && !HasEnvironment(job)) FindPython(job);
  if (LanguageOf(job.script) == ScriptLanguage::kProgram && !IsProgram(path)) {
    throw Error(Status::kPermission,
                "script '" + path + "' is neither a .py nor a .sh file nor executable: chmod +x, or use a command job",
                {{"path", path}});
  }
}

void CheckProgram(const Job &job) {
  if (job.command.empty()) return;  // /bin/sh is always there
  const std::string &program = job.command[0];
  if (program.find('/') != std::string::npos) {
    const bool in_source = program[0] != '/';
    // In a container it is the image's.
    if (!in_source && HasEnvironment(job) && job.environment_definition->WantsContainer()) return;
    if (in_source && job.source_directory.empty()) {
      throw Error::NotFound("program '" + program +
                            "' is relative, and the job has no source directory: give an absolute path");
    }
    const std::string path = in_source ? JoinPath(job.source_directory, program) : program;
    if (!PathExists(path)) throw Error::NotFound("program '" + path + "' does not exist", {{"path", path}});
    if (!IsProgram(path)) {
      throw Error(Status::kPermission,
                  "'" + path + "' is not an executable file: chmod +x, or run it through its interpreter",
                  {{"path", path}});
    }
    return;
  }
  if (HasEnvironment(job)) return;  // what it brings is in the PATH when it is made
  const std::string search = SearchPath(job);
  if (!FindProgram(program, search).empty()) return;
  throw Error::NotFound("program '" + program + "' is not in PATH (" + search + ")", {{"path", program}});
}

// By what the ranks of a training talk.
void CheckRanksLibrary(const Job &job) {
  if (!job.train || job.RankCount() == 1) return;
  const bool gpus = job.TrainsOnGpus();
  const std::string library = JoinPath(RuntimeDirectory(), gpus ? TY_ENGINE_CUDA_LIBRARY : TY_ENGINE_MPI_LIBRARY);
  if (PathExists(library)) return;
  throw Error(Status::kUnsupported,
              std::string("a training job of several ranks ") + (gpus ? "on GPUs " : "") + "needs '" + library +
                  "', which is built where " +
                  (gpus ? "LibTorch has CUDA and the headers of CUDA (with crt/) and NCCL are found"
                        : "there is an MPI with its headers (Debian: apt-get install libopenmpi-dev)") +
                  ": build trainyard there, or take the distribution back");
}

// mpirun is started by the supervisor, with the environment of the submitting process.
void CheckLauncher(const Job &job) {
  CheckRanksLibrary(job);
  if (!job.distribution || job.distribution->kind != Distribution::Kind::kMpi) return;
  const std::string search = SearchPath(Job());
  if (!FindProgram("mpirun", search).empty()) return;
  throw Error::NotFound("an MPI distribution needs Open MPI, and there is no 'mpirun' in PATH (" + search +
                            "): install it (Debian: apt-get install openmpi-bin), or use ty_distribution_new_pytorch",
                        {{"path", "mpirun"}});
}

// What is in an input that is fetched when the run starts cannot be looked at before.
void CheckTraining(const Job &job, Store *store) {
  const TrainConfig &config = *job.train;
  for (const char *key : kDataPaths) {
    const std::string text = config.GetString(key);
    if (IsDatastoreReference(text)) {
      throw Error::InvalidArgument(std::string("'") + key + "': give the job '" + text +
                                       "' as an input (ty_job_add_input), and name it here: ${{inputs.NAME}}",
                                   {{"key", key}});
    }
    const auto path = text.empty() ? std::nullopt : PathInInputs(job, text);
    if (!path) continue;
    const std::string what = std::string("'") + key + "':";
    const bool file =
        key == std::string_view(kManifestKey) || (key == std::string_view(kArraysKey) && !IsDirectory(*path));
    file ? CheckReadableFile(*path, what) : CheckDirectory(*path, what);
  }
  const WeightsSource weights = ParseWeights(config.GetString("model.weights"));
  if (weights.kind == WeightsSource::Kind::kFile) {
    CheckReadableFile(weights.path, "'model.weights':");
  }
  if (weights.kind == WeightsSource::Kind::kModel) WeightsOfModel(weights, store);
}

}  // namespace

void ResolvePaths(Job *job) {
  if (!job->source_directory.empty()) job->source_directory = AbsolutePath(job->source_directory);
  if (!job->train) return;
  for (const char *key : kDataPaths) {
    const std::string path = job->train->GetString(key);
    if (!path.empty() && !path.starts_with("${{") && !IsDatastoreReference(path))
      job->train->SetString(key, AbsolutePath(path));
  }
  const WeightsSource weights = ParseWeights(job->train->GetString("model.weights"));
  if (weights.kind == WeightsSource::Kind::kFile) job->train->SetString("model.weights", AbsolutePath(weights.path));
}

std::optional<std::string> PathInInputs(const Job &job, const std::string &text) {
  const std::string unknown(1, '\0');  // is in no path
  std::map<std::string, std::string> paths;
  for (const auto &[name, input] : job.inputs) paths[name] = input.IsUrl() ? unknown : input.location;
  std::string path = ExpandInputs(text, paths);
  if (path.find(unknown) != std::string::npos) return std::nullopt;
  return path;
}

bool FindTrainingData(Job *job) {
  bool found = true;
  for (const char *key : kDataPaths) {
    const auto path = PathInInputs(*job, job->train->GetString(key));
    if (path) job->train->SetString(key, *path);
    found = found && path;
  }
  return found;
}

void CheckBeforeSubmit(const Job &job, Store *store) {
  CheckNeeds(job, NeedsOf(job, store));
  if (!job.source_directory.empty()) CheckDirectory(job.source_directory, "source directory");
  CheckLauncher(job);
  switch (job.kind) {
    case RunKind::kTrain:
      return CheckTraining(job, store);
    case RunKind::kScript:
      return CheckScript(job);
    default:
      return CheckProgram(job);
  }
}

std::string FindPython(const Job &job) {
  const std::string search = SearchPath(job);
  for (const char *name : {"python3", "python"}) {
    if (!FindProgram(name, search).empty()) return name;
  }
  throw Error::NotFound("script '" + job.script + "' needs Python, and neither python3 nor python is in PATH (" +
                            search + "): install one, or give the job an environment",
                        {{"script", job.script}});
}

SnapshotRequest SnapshotOf(const Job &job, Store *store) {
  return {job.source_directory, job.snapshot_limits, store->layout().Root()};
}

SnapshotManifest TakeSource(const SnapshotRequest &source, Store *store, RunRecord *run) {
  SnapshotReport report;
  SnapshotManifest snapshot = TakeSnapshot(source, &store->objects(), &report);
  run->snapshot_id = snapshot.id;
  for (const std::string &warning : report.warnings) Log(LogLevel::kWarning, warning);
  run->warnings.insert(run->warnings.end(), report.warnings.begin(), report.warnings.end());
  if (const auto git = FindGitSource(source.directory)) run->properties.merge(GitProperties(*git));
  return snapshot;
}

WeightsSource ParseWeights(const std::string &text) {
  WeightsSource source;
  if (text.empty()) return source;
  if (text.rfind("model:", 0) == 0) {
    const std::vector<std::string_view> parts = Split(std::string_view(text).substr(6), ':');
    const auto version = parts.size() == 2 ? ParseInt64(parts[1]) : std::optional<int64_t>(0);
    if (parts.empty() || parts.size() > 2 || parts[0].empty() || !version || *version < 0) {
      throw Error::InvalidArgument("'model.weights': '" + text + "' must be model:NAME or model:NAME:VERSION",
                                   {{"key", "model.weights"}});
    }
    source.kind = WeightsSource::Kind::kModel;
    source.model = std::string(parts[0]);
    source.version = *version;
    return source;
  }
  std::string shown = MaskCredentials(text);
  shown.resize(std::min(shown.size(), shown.find('#')));
  if (const std::string problem = UrlProblem(text); !problem.empty())
    throw Error::InvalidArgument("'model.weights': '" + shown + "': " + problem, {{"key", "model.weights"}});
  const size_t scheme = text.find("://");
  if (scheme == std::string::npos) {
    source.kind = WeightsSource::Kind::kFile;
    source.path = text;
    return source;
  }
  const size_t hash = text.rfind('#');
  source.kind = WeightsSource::Kind::kUrl;
  source.url = text.substr(0, hash);
  if (hash != std::string::npos) source.sha256 = text.substr(hash + 1);
  const std::string name = text.substr(0, scheme);
  if (name != "https" && name != "http" && name != "file") {
    throw Error::InvalidArgument("'model.weights': '" + shown + "' must be an https, http or file URL",
                                 {{"key", "model.weights"}});
  }
  if (name == "http" && HasCredentials(source.url) && !IsLoopbackHost(HostOfUrl(source.url))) {
    throw Error::InvalidArgument(
        "'model.weights': '" + shown + "': everybody on the way can read its credentials: use https",
        {{"key", "model.weights"}});
  }
  if (!IsSha256Hex(source.sha256)) {
    throw Error::InvalidArgument(
        "'model.weights': a URL must end in '#' and the file's SHA-256 (64 hexadecimal digits in lower case), so that "
        "what arrives can be checked",
        {{"key", "model.weights"}});
  }
  return source;
}

std::string WeightsOfModel(const WeightsSource &source, Store *store) {
  const ModelRecord model = store->models().Get(source.model, source.version);
  std::vector<std::string> weights;
  for (const StoredFile &file : model.files) {
    const bool known = file.path.ends_with(".safetensors") || file.path.ends_with(".pth") || file.path.ends_with(".pt");
    if (BaseName(file.path) == "model.safetensors") return store->models().FilePath(model, file.path);
    if (known) weights.push_back(file.path);
  }
  if (weights.size() == 1) return store->models().FilePath(model, weights[0]);
  throw Error::NotFound(
      "model '" + model.name + ":" + std::to_string(model.version) + "' has " +
      (weights.empty() ? "no .safetensors or .pth file" : "several weight files (" + Join(weights, ", ") + ")") +
      ": register one, or name the file itself in 'model.weights'");
}

}  // namespace trainyard
