#include "core/job.h"

#include <algorithm>
#include <limits>

#include "core/compute.h"
#include "core/records_json.h"
#include "core/run_id.h"
#include "util/error.h"
#include "util/hash.h"
#include "util/text.h"
#include "util/url.h"

namespace trainyard {
namespace {

constexpr size_t kMaxTagKey = 100;
constexpr size_t kMaxTagValue = 1000;
constexpr const char *kGpuVariables[] = {"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"};

RunKind KindFromJson(const Json &json) {
  const std::string name = json.AsString();
  if (name == "command") return RunKind::kCommand;
  if (name == "train") return RunKind::kTrain;
  if (name == "script") return RunKind::kScript;
  throw Error::InvalidArgument(json.path() + " must be 'command', 'script' or 'train', got '" + name + "'",
                               {{"key", json.path()}});
}

int32_t Int32(const Json &json, int32_t minimum, int32_t maximum) {
  return static_cast<int32_t>(json.AsInt64(minimum, maximum));
}

constexpr int32_t kInt32Max = std::numeric_limits<int32_t>::max();

Json RetriesToJson(const Retries &retries) {
  Json codes = Json::Array();
  for (int32_t code : retries.never_on_exit_codes) codes.Append(code);
  Json json = Json::Object();
  json.Set("maximum", retries.maximum).Set("never_on_exit_codes", codes);
  return json;
}

Retries RetriesFromJson(const Json &json) {
  json.CheckKeys({"maximum", "never_on_exit_codes"});
  Retries retries;
  if (auto v = json.Find("maximum")) retries.maximum = Int32(*v, 0, kInt32Max);
  if (auto v = json.Find("never_on_exit_codes")) {
    for (const Json &code : v->Items()) retries.never_on_exit_codes.push_back(Int32(code, 0, 255));
  }
  return retries;
}

Json ParametersToJson(const std::vector<std::pair<std::string, std::string>> &parameters) {
  Json json = Json::Array();
  for (const auto &[name, value] : parameters) {
    Json pair = Json::Object();
    pair.Set("name", name).Set("value", value);
    json.Append(pair);
  }
  return json;
}

std::vector<std::pair<std::string, std::string>> ParametersFromJson(const Json &json) {
  std::vector<std::pair<std::string, std::string>> parameters;
  for (const Json &pair : json.Items()) {
    pair.CheckKeys({"name", "value"});
    parameters.emplace_back(pair.Get("name").AsString(), pair.GetString("value", ""));
  }
  return parameters;
}

// As the URLs of inputs.
TrainConfig WithoutCredentials(TrainConfig config) {
  const std::string weights = config.GetString("model.weights");
  if (HasCredentials(weights)) config.SetString("model.weights", MaskCredentials(weights));
  return config;
}

// What a script job names lies inside its source directory.
void CheckScript(const Job &job) {
  if (job.source_directory.empty()) {
    throw Error::InvalidArgument("a script job needs the source directory that its script is in");
  }
  const std::string &script = job.script;
  bool inside = !script.empty() && script[0] != '/';
  for (std::string_view part : Split(script, '/')) inside = inside && part != "..";
  if (!inside) {
    throw Error::InvalidArgument("script '" + script + "' must be a path inside the source directory, relative to it",
                                 {{"script", script}});
  }
  for (const auto &[name, value] : job.script_parameters) {
    if (name.empty()) throw Error::InvalidArgument("a script parameter has no name");
  }
}

void CheckVariableName(const std::string &name) {
  if (!name.empty() && name.find('=') == std::string::npos) return;
  throw Error::InvalidArgument("variable name '" + name + "' must not be empty and must not contain '='");
}

// Counts mean something only together with who starts the processes.
void RefuseBareCounts(const Json &json) {
  for (const char *key : {"process_count", "process_count_per_node", "node_count"}) {
    if (!json.Has(key)) continue;
    throw Error::InvalidArgument(
        json.path() + "." + key +
            ": a number of processes or nodes needs a distribution; make one with ty_distribution_new_pytorch, "
            "_new_pytorch_per_node or _new_mpi and set it with ty_job_set_distribution (in JSON: \"distribution\": "
            "{\"type\": \"pytorch\", \"process_count\": 4, \"node_count\": 1})",
        {{"key", json.path() + "." + key}});
  }
}

}  // namespace

void CheckTag(std::string_view key, std::string_view value) {
  if (!key.empty() && key.size() <= kMaxTagKey && value.size() <= kMaxTagValue) return;
  throw Error::InvalidArgument("tag '" + std::string(TruncateUtf8(key, kMaxTagKey)) +
                               "' must have a key of 1 to 100 bytes and a value of at most 1000");
}

void CheckParent(std::string_view run_id, std::string_view parent_id) {
  CheckRunId(parent_id);
  if (run_id != parent_id) return;
  throw Error::InvalidArgument("run '" + std::string(run_id) + "' cannot be its own parent: name another run");
}

ScriptLanguage LanguageOf(std::string_view script) {
  if (script.ends_with(".py")) return ScriptLanguage::kPython;
  return script.ends_with(".sh") ? ScriptLanguage::kShell : ScriptLanguage::kProgram;
}

size_t Job::FirstExpandedWord() const {
  if (kind == RunKind::kTrain) return SIZE_MAX;
  return shell_command.empty() ? 1 : 5;
}

std::vector<std::string> Job::Command(const std::string &interpreter) const {
  std::vector<std::string> argv = command;
  if (!shell_command.empty()) argv = {"/bin/sh", "-c", "--", shell_command, "sh"};
  if (kind == RunKind::kScript) {
    const ScriptLanguage language = LanguageOf(script);
    // An interpreter would read a name that starts with these as an option.
    const std::string name = script[0] == '-' || script[0] == '+' ? "./" + script : script;
    if (language == ScriptLanguage::kPython) argv = {interpreter, name};
    if (language == ScriptLanguage::kShell) argv = {"/bin/sh", name};
    if (language == ScriptLanguage::kProgram) argv = {"./" + script};
    for (const auto &[name, value] : script_parameters) {
      argv.push_back(name);
      if (!value.empty()) argv.push_back(value);
    }
  }
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

namespace {

// The engine's ranks talk by MPI on CPUs, and by NCCL on GPUs: one rank on each.
void CheckTrainingRanks(const Job &job) {
  if (job.RankCount() == 1) return;
  const Distribution &distribution = *job.distribution;
  if (distribution.kind == Distribution::Kind::kPyTorchPerNode) {
    throw Error::InvalidArgument(
        "a training job has no command that could start a node's processes: give it a distribution of "
        "ty_distribution_new_pytorch (a GPU for each rank) or ty_distribution_new_mpi");
  }
  const std::string &device = job.train->GetString("device");
  if (device.starts_with("cuda:")) {
    throw Error::InvalidArgument(
        "setting 'device' is " + device +
            ", and each rank of a training takes the GPU of its LOCAL_RANK: set it to cuda, or "
            "take the distribution back",
        {{"key", "device"}});
  }
  if (distribution.kind == Distribution::Kind::kPyTorch && !job.TrainsOnGpus()) {
    throw Error::InvalidArgument(
        "the ranks of a training job talk by MPI on CPUs: give it a distribution of ty_distribution_new_mpi; or a GPU "
        "for each rank: setting 'device' cuda, or ty_job_set_gpus(" +
            std::to_string(distribution.processes_per_node()) + ")",
        {{"key", "device"}});
  }
  const int32_t gpus = job.resources.gpus.value_or(0);
  if (job.TrainsOnGpus() && gpus > 0 && gpus < distribution.processes_per_node()) {
    throw Error::InvalidArgument("the job asks for " + std::to_string(gpus) + " GPU(s) on a node, and has " +
                                     std::to_string(distribution.processes_per_node()) +
                                     " ranks there: a rank of a training takes one for itself; raise that with "
                                     "ty_job_set_gpus, or use fewer processes",
                                 {{"key", "gpus"}});
  }
}

}  // namespace

bool Job::TrainsOnGpus() const {
  if (!train) return false;
  const std::string &device = train->GetString("device");
  return device != "cpu" && (device.starts_with("cuda") || resources.gpus.value_or(0) > 0);
}

void Job::CheckEnvironment() const {
  if (environment.empty()) {
    throw Error::InvalidArgument("the job's environment has no name: 'system' is what this machine has");
  }
  if (environment_definition) environment_definition->Check();
  const bool system = environment == "system" || (environment_definition && environment_definition->IsSystem());
  if (kind == RunKind::kTrain && !system) {
    throw Error::InvalidArgument(
        "a training job runs the library's own engine and takes no environment: leave it at "
        "'system'");
  }
}

void Job::Check() const {
  if (!run_id.empty()) CheckRunId(run_id);
  if (!parent_id.empty()) CheckParent(run_id, parent_id);
  if (kind == RunKind::kTrain) {
    if (!train) throw Error::InvalidArgument("a training job needs its settings: make it with ty_job_new_train");
    if (!command.empty() || !shell_command.empty() || !arguments.empty()) {
      throw Error::InvalidArgument("a training job takes no command and no arguments: use its settings");
    }
    train->CheckComplete();
    CheckTrainingRanks(*this);
    CheckDevice(resources, *train);
  } else if (kind == RunKind::kScript) {
    if (!command.empty() || !shell_command.empty()) {
      throw Error::InvalidArgument("a script job takes no command: give it either a script or a command");
    }
    CheckScript(*this);
  } else {
    if (command.empty() == shell_command.empty()) {
      throw Error::InvalidArgument("a command job needs a command: either a program with arguments, or one shell line");
    }
    if (!command.empty() && command[0].empty()) throw Error::InvalidArgument("the command's program is empty");
  }
  if (kind != RunKind::kTrain && train) {
    throw Error::InvalidArgument("a " + std::string(RunKindName(kind)) + " job takes no training settings");
  }
  if (kind != RunKind::kScript && (!script.empty() || !script_parameters.empty())) {
    throw Error::InvalidArgument("only a script job takes a script and its parameters: make it with ty_job_new_script");
  }
  CheckEnvironment();
  CheckComputeName(compute);
  resources.Check();
  for (const char *name : kGpuVariables) {
    const auto place = variables.find(name);
    if (place == variables.end() || place->second.empty() || place->second == "-1") continue;
    throw Error::InvalidArgument("the variable " + std::string(name) +
                                     " is set by the queue for the GPUs that the run gets: ask for them with "
                                     "ty_job_set_gpus, and choose among them in the program",
                                 {{"key", name}});
  }
  for (const auto &[name, value] : variables) CheckVariableName(name);
  for (const auto &[name, value] : secrets) {
    CheckVariableName(name);
    if (variables.count(name) != 0) {
      throw Error::InvalidArgument("'" + name + "' is set both as a variable and as a secret: take one back");
    }
  }
  for (const auto &[key, value] : tags) CheckTag(key, value);
  CheckInputs();
}

void Job::CheckInputs() const {
  for (const auto &[name, input] : inputs) {
    CheckInput(name, input);
    if (variables.contains(name) || secrets.contains(name)) {
      throw Error::InvalidArgument(
          "'" + name + "' is both an input and a variable: an input sets the variable of its name, take one back");
    }
  }
}

void Job::ForEachText(const std::function<void(std::string *)> &work) {
  for (std::string &text : command) work(&text);
  if (!shell_command.empty()) work(&shell_command);
  for (auto &[name, value] : script_parameters) work(&value);
  for (std::string &text : arguments) work(&text);
  for (auto &[name, value] : variables) work(&value);
}

Json Job::ToJson() const {
  Json json = Json::Object();
  json.Set("schema_version", kSchemaVersion).Set("kind", RunKindName(kind));
  if (!run_id.empty()) json.Set("run_id", run_id);
  if (!display_name.empty()) json.Set("display_name", display_name);
  if (!parent_id.empty()) json.Set("parent", parent_id);
  if (!source_directory.empty()) json.Set("source_directory", source_directory);
  if (!command.empty()) json.Set("command", command);
  if (!shell_command.empty()) json.Set("shell_command", shell_command);
  if (!script.empty()) json.Set("script", script);
  if (!script_parameters.empty()) json.Set("script_parameters", ParametersToJson(script_parameters));
  if (!arguments.empty()) json.Set("arguments", arguments);
  if (!variables.empty()) json.Set("variables", variables);
  if (!secrets.empty()) {
    Json names = Json::Array();
    for (const auto &[name, value] : secrets) names.Append(name);
    json.Set("secret_names", names);
  }
  json.Set("environment", environment).Set("compute", compute);
  if (environment_definition) json.Set("environment_definition", environment_definition->ToJson());
  json.Set("resources", resources.ToJson()).Set("retries", RetriesToJson(retries));
  if (distribution) json.Set("distribution", distribution->ToJson());
  if (train) json.Set("train", WithoutCredentials(*train).ToJson());
  if (!inputs.empty()) json.Set("inputs", InputsToJson(inputs));
  if (!snapshot_limits.IsDefault()) json.Set("snapshot_limits", snapshot_limits.ToJson());
  if (!tags.empty()) json.Set("tags", tags);
  return json;
}

Job Job::FromJson(const Json &json) {
  RefuseBareCounts(json);
  json.CheckKeys({"schema_version",    "kind",          "run_id",
                  "display_name",      "parent",        "source_directory",
                  "command",           "shell_command", "script",
                  "script_parameters", "arguments",     "variables",
                  "secret_names",      "environment",   "environment_definition",
                  "compute",           "resources",     "retries",
                  "distribution",      "train",         "inputs",
                  "snapshot_limits",   "tags"});
  const int64_t version = json.GetInt64("schema_version", kSchemaVersion);
  if (version < 1 || version > kSchemaVersion) {
    throw Error(Status::kVersion, json.path() + ".schema_version is " + std::to_string(version) +
                                      "; this release reads up to " + std::to_string(kSchemaVersion) +
                                      ": use a newer release");
  }
  Job job;
  if (auto v = json.Find("kind")) job.kind = KindFromJson(*v);
  job.run_id = json.GetString("run_id", "");
  job.display_name = json.GetString("display_name", "");
  job.parent_id = json.GetString("parent", "");
  job.source_directory = json.GetString("source_directory", "");
  job.command = json.GetStringList("command");
  job.shell_command = json.GetString("shell_command", "");
  job.script = json.GetString("script", "");
  if (auto v = json.Find("script_parameters")) job.script_parameters = ParametersFromJson(*v);
  job.arguments = json.GetStringList("arguments");
  job.variables = json.GetStringMap("variables");
  // Values of secrets are never in JSON; whoever runs the job gets them through memory.
  for (const std::string &name : json.GetStringList("secret_names")) job.secrets[name] = "";
  job.environment = json.GetString("environment", job.environment);
  if (auto v = json.Find("environment_definition")) job.environment_definition = Environment::FromJson(*v);
  job.compute = json.GetString("compute", job.compute);
  if (auto v = json.Find("resources")) job.resources = Resources::FromJson(*v);
  if (auto v = json.Find("retries")) job.retries = RetriesFromJson(*v);
  if (auto v = json.Find("distribution")) job.distribution = Distribution::FromJson(*v);
  if (auto v = json.Find("train")) job.train = TrainConfig::FromJson(*v, v->path());
  if (auto v = json.Find("inputs")) job.inputs = InputsFromJson(*v);
  if (auto v = json.Find("snapshot_limits")) job.snapshot_limits = SnapshotLimits::FromJson(*v);
  job.tags = json.GetStringMap("tags");
  return job;
}

Job Job::Parse(std::string_view text, std::string_view source_name) {
  return FromJson(Json::Parse(text, source_name));
}

std::string Job::Hash() const {
  Json json = ToJson();
  json.Remove("run_id");
  return Sha256Hex(json.Canonical());
}

}  // namespace trainyard
