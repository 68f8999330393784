// Submitting to the local driver: what can be checked is checked first, then the run is recorded, then its supervisor
// started.
#include <algorithm>
#include <optional>

#include "core/run_id.h"
#include "drivers/local/local_driver.h"
#include "drivers/local/needs.h"
#include "drivers/local/preflight.h"
#include "drivers/local/settle.h"
#include "engine/runtime.h"
#include "launch/launcher.h"
#include "store/snapshot.h"
#include "util/build_id.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/process.h"
#include "util/url.h"

namespace trainyard {
namespace {

RunRecord MakeRecord(const std::string &experiment, const Job &job) {
  RunRecord run;
  run.id = job.run_id.empty() ? MakeRunId(experiment, NowUnixMs()) : job.run_id;
  run.experiment = experiment;
  run.display_name = job.display_name.empty() ? run.id : job.display_name;
  run.kind = job.kind;
  run.parent_id = job.parent_id;
  run.compute = job.compute;
  run.job_json = job.ToJson().DumpPretty();
  run.job_hash = job.Hash();
  run.rank_count = job.RankCount();
  run.submitter = ThisProcess();
  run.tags = job.tags;
  return run;
}

// The rules that leave files out of snapshots may have left out the script.
void CheckScriptTaken(const Job &job, const SnapshotManifest &snapshot) {
  if (job.kind != RunKind::kScript) return;
  const auto is_script = [&](const SnapshotEntry &entry) { return entry.path == job.script; };
  if (std::any_of(snapshot.entries.begin(), snapshot.entries.end(), is_script)) return;
  throw Error::NotFound("script '" + job.script + "' is in '" + job.source_directory +
                            "', but stays out of the run's copy of it: change the ignore rule that leaves it out",
                        {{"script", job.script}});
}

void StartSupervisor(const std::string &runner, const std::string &workspace, const std::string &id, const Job &job,
                     const std::string &weights_url, uint64_t place) {
  DetachedCommand command;
  command.program = runner;
  command.arguments = {"supervise", workspace, id, "--build-id", BuildId(), "--place", std::to_string(place)};
  // A run submitted by a rank of another run is a run of its own.
  command.unset = RankVariableNames();
  command.variables = {{kSupervisorVariable, id}};
  // The runtime directory may be apart from the library.
  if (const std::string library = LibraryPath(); !library.empty()) command.variables["TRAINYARD_LIBRARY"] = library;
  Json secrets = Json::Object();
  for (const auto &[name, value] : job.secrets) secrets.Set(name, value);
  if (job.environment_definition && !job.environment_definition->registry.password.empty())
    secrets.Set(kRegistryPasswordSecret, job.environment_definition->registry.password);
  for (const auto &[name, input] : job.inputs) {
    if (HasCredentials(input.location)) secrets.Set(kInputUrlSecret + name, input.location);
  }
  if (!weights_url.empty()) secrets.Set(kWeightsUrlSecret, weights_url);
  command.input = secrets.Dump();
  SpawnDetached(command);
}

// The record says where weights come from without the credentials; the supervisor gets the whole URL, which is the
// answer. Empty: there are none.
std::string HideWeightsCredentials(Job *job) {
  if (!job->train) return "";
  const std::string url = job->train->GetString("model.weights");
  if (HasCredentials(url)) {
    job->train->SetString("model.weights", MaskCredentials(url));
    return url;
  }
  if (url.find("://") != std::string::npos && url.find(kTakenOut) != std::string::npos) {
    throw Error::InvalidArgument("'model.weights': the credentials of '" + url +
                                     "' were not kept ('***' stands for them): set the whole URL again",
                                 {{"key", "model.weights"}});
  }
  return "";
}

}  // namespace

RunRecord LocalDriver::Submit(const std::string &experiment, const Job &requested) {
  CheckExperimentName(experiment);
  Job job = requested;
  job.Check();
  std::vector<std::string> warnings;
  ResolveEnvironment(&job, &warnings);
  for (const std::string &warning : warnings) Log(LogLevel::kWarning, warning);
  ResolvePaths(&job);
  const std::string weights_url = HideWeightsCredentials(&job);
  const std::vector<Error> problems = SettleInputs(&job, store().get());
  const std::string runner = RunnerPath();
  if (!job.run_id.empty()) {
    // The same job under the same id is the same run: nothing is checked or started again.
    if (const auto existing = store()->runs().Find(job.run_id); existing && existing->job_hash == job.Hash())
      return *existing;
  }
  ThrowAll(problems);
  CheckBeforeSubmit(job, store().get());
  if (job.environment_definition) CheckEnvironment(*job.environment_definition);
  const JobNeeds needs = NeedsOf(job, store().get());
  for (const std::string &warning : JobWarnings(job, needs)) {
    Log(LogLevel::kWarning, warning);
    warnings.push_back(warning);
  }

  RunRecord run = MakeRecord(experiment, job);
  run.warnings = std::move(warnings);
  if (!job.source_directory.empty()) {
    CheckScriptTaken(job, TakeSource(SnapshotOf(job, store().get()), store().get(), &run));
  }
  // Runs start in the order in which they are recorded, however long their supervisors take to come up.
  std::optional<SubmitPlace> place;
  const RunStore::Created created = store()->runs().Create(
      run, {RunState::kStarting}, [&] { place.emplace(needs.capacity.Tickets(), needs.ticket); });
  if (created.existed) return created.run;
  const std::string &id = created.run.id;
  try {
    WriteFileAtomic(store()->RunPaths(id).JobJson(), run.job_json);
    StartSupervisor(runner, location_, id, job, weights_url, place->number());
  } catch (const Error &error) {
    place->Abandon();
    RunError reason;
    reason.code = "submit";
    reason.message = error.what();
    store()->runs().Transition(id, RunState::kFailed, reason);
    Error::Details details = error.details();
    details["run_id"] = id;
    throw Error(error.status(), error.what(), details);
  }
  return created.run;
}

void LocalDriver::RequestStop(const std::string &id) {
  const RunState state = GetState(id);
  if (IsFinal(state)) {
    throw Error::InvalidState(
        "run '" + id + "' has ended (" + std::string(RunStateName(state)) + "): there is nothing to stop",
        {{"run_id", id}});
  }
  WriteFileAtomic(store()->RunPaths(id).StopFile(), "");
}

}  // namespace trainyard
