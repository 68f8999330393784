#include "runner/rank_environment.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "launch/launcher.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

// What stands where Azure has a subscription and a resource group: scripts read them without asking whether they are
// there.
constexpr char kNoAccount[] = "local";

const char *Inherited(const char *name) {
  return std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here changes the environment
}

void SetDefaults(const RankEnvironment &environment, std::map<std::string, std::string> *variables) {
  // So that lines reach the log when they are printed, not when a buffer is full.
  if (Inherited("PYTHONUNBUFFERED") == nullptr) variables->emplace("PYTHONUNBUFFERED", "1");
  // OpenMP's threads spin while they wait; beside any other busy process that slows training down several times. It is
  // read when LibTorch is loaded, so only who starts the rank can set it.
  const bool own_policy = Inherited("GOMP_SPINCOUNT") != nullptr || Inherited("OMP_WAIT_POLICY") != nullptr;
  if (environment.job->kind == RunKind::kTrain && !own_policy) variables->emplace("GOMP_SPINCOUNT", "1000");
}

// PYTHONPATH stands before site-packages: the azureml package there steps aside by itself when the real one is
// installed (bindings/python/azureml_compat).
void AddPythonPackages(const std::string &runtime_directory, std::map<std::string, std::string> *variables) {
  const auto given = variables->find("PYTHONPATH");
  const char *inherited = Inherited("PYTHONPATH");
  std::string path = given != variables->end() ? given->second : inherited != nullptr ? inherited : "";
  const std::string packages = JoinPath(runtime_directory, "python");
  for (const std::string &entry : {packages, JoinPath(packages, "azureml_compat")}) {
    if (!IsDirectory(entry)) continue;
    const std::vector<std::string_view> present = Split(path, ':');
    if (std::find(present.begin(), present.end(), entry) != present.end()) continue;
    path += (path.empty() ? "" : ":") + entry;
  }
  if (!path.empty()) (*variables)["PYTHONPATH"] = path;
}

std::map<std::string, std::string> OwnVariables(const RankEnvironment &environment) {
  const RunRecord &run = *environment.run;
  const RunLayout layout = Layout(environment.workspace).Run(run.id);
  std::map<std::string, std::string> own = {
      {kRunIdVariable, run.id},
      {"TRAINYARD_WORKSPACE", environment.workspace},
      {"TRAINYARD_EXPERIMENT", run.experiment},
      {"TRAINYARD_RUN_DIR", layout.Root()},
      {"TRAINYARD_JOURNAL_DIR", layout.Journal()},
      {"TRAINYARD_ATTEMPT", std::to_string(environment.attempt)},
      {"PWD", layout.Code()},  // the host's is of no use there, and `$PWD` in arguments means the rank's
  };
  if (!environment.library.empty()) own["TRAINYARD_LIBRARY"] = environment.library;
  if (const auto &distribution = environment.job->distribution) {
    own["TORCHELASTIC_RESTART_COUNT"] = std::to_string(environment.restarts);
    own["TORCHELASTIC_MAX_RESTARTS"] = std::to_string(distribution->max_restarts);
    if (!distribution->backend.empty()) own["TRAINYARD_BACKEND"] = distribution->backend;
  }
  if (!environment.weights_path.empty()) own["TRAINYARD_WEIGHTS_PATH"] = environment.weights_path;
  return own;
}

// As a launch configuration of Azure ML names it.
const char *FrameworkName(const Job &job) {
  return job.distribution && job.distribution->kind != Distribution::Kind::kMpi ? "PyTorch" : "Python";
}

// What scripts written for Azure ML look at, as far as it means something here. There is no service: no endpoints and
// no tokens.
std::map<std::string, std::string> AzureMlVariables(const RankEnvironment &environment) {
  const RunRecord &run = *environment.run;
  const std::string workspace_name = BaseName(environment.workspace);
  const std::string workspace_scope = "/subscriptions/" + std::string(kNoAccount) + "/resourceGroups/" + kNoAccount +
                                      "/providers/Microsoft.MachineLearningServices/workspaces/" + workspace_name;
  return {
      {"AZUREML_RUN_ID", run.id},
      {"AZUREML_ROOT_RUN_ID", run.Top()},
      {"AZUREML_EXPERIMENT_ID", run.experiment},
      {"AZUREML_EXPERIMENT_SCOPE", workspace_scope + "/experiments/" + run.experiment},
      {"AZUREML_WORKSPACE_ID", environment.workspace},
      {"AZUREML_WORKSPACE_SCOPE", workspace_scope},
      {"AZUREML_ARM_SUBSCRIPTION", kNoAccount},
      {"AZUREML_ARM_RESOURCEGROUP", kNoAccount},
      {"AZUREML_ARM_WORKSPACE_NAME", workspace_name},
      {"AZUREML_ARM_PROJECT_NAME", run.experiment},
      {"AZUREML_TARGET_TYPE", run.compute},
      {"AZUREML_FRAMEWORK", FrameworkName(*environment.job)},
      {"AZUREML_NODE_COUNT", std::to_string(environment.node_count)},
      {"AZUREML_LOGDIRECTORY_PATH", Layout(environment.workspace).Run(run.id).UserLogs()},
  };
}

}  // namespace

std::map<std::string, std::string> MakeRankVariables(const RankEnvironment &environment) {
  std::map<std::string, std::string> variables = environment.job->variables;
  for (const auto &[name, value] : environment.secrets) variables[name] = value;
  SetDefaults(environment, &variables);
  AddPythonPackages(environment.runtime_directory, &variables);
  for (const auto &[name, value] : AzureMlVariables(environment)) variables[name] = value;
  for (const auto &[name, value] : OwnVariables(environment)) variables[name] = value;
  return variables;
}

}  // namespace trainyard
