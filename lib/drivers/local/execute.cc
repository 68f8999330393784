// The local driver's part in runs that the host executes itself: they have no supervisor, so their beginning and their
// end are written here.
#include "core/run_id.h"
#include "drivers/local/host_run.h"
#include "drivers/local/local_driver.h"
#include "drivers/local/preflight.h"
#include "drivers/local/settle.h"
#include "store/metric_gate.h"
#include "store/snapshot.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"

namespace trainyard {
namespace {

RunRecord MakeRecord(const std::string &experiment, const HostRunOptions &options) {
  RunRecord run;
  run.id = options.run_id.empty() ? MakeRunId(experiment, NowUnixMs()) : options.run_id;
  run.experiment = experiment;
  run.display_name = options.display_name.empty() ? run.id : options.display_name;
  run.kind = RunKind::kHost;
  run.parent_id = options.parent_id;
  run.submitter = ThisProcess();
  run.tags = options.tags;
  run.properties = options.properties;
  return run;
}

Error Exists(const std::string &id) {
  return {Status::kAlreadyExists, "run '" + id + "' exists already: choose another run id", {{"run_id", id}}};
}

// Who else ends this run, and how to ask.
Error NotOurs(const RunRecord &run) {
  const std::string who = run.kind == RunKind::kHost ? "process " + std::to_string(run.submitter.pid) + " on " +
                                                           run.submitter.hostname + " executes it"
                                                     : "its supervisor ends it when its ranks end";
  return Error::InvalidState(
      "run '" + run.id + "' cannot be ended from here: " + who + "; ask with ty_run_cancel or ty_run_request_stop",
      {{"run_id", run.id}});
}

// What the supervisor makes of the run when its ranks have ended (runner/declared_failure.h).
void DeclareFailure(const RunLayout &run, int32_t rank, const RunError &error) {
  Json json = Json::Object();
  json.Set("code", error.code).Set("message", error.message).Set("failed", true);
  MakeDirs(run.SystemLogs());
  WriteFileAtomic(run.RankError(rank), json.DumpPretty());
}

// Makes the run final; false when its state changed meanwhile.
bool TryEnd(Store *store, const std::string &id, RunState to, const RunError &error) {
  RunChange change;
  const RunState now = store->runs().State(id);
  change.only_from = {now};
  if (to == RunState::kCanceled && now != RunState::kCancelRequested) {
    change.states.push_back(RunState::kCancelRequested);
  }
  change.states.push_back(to);
  if (to == RunState::kFailed) change.error = error;
  return store->runs().Apply(id, change).has_value();
}

}  // namespace

RunRecord LocalDriver::StartRun(const std::string &experiment, const HostRunOptions &options) {
  CheckExperimentName(experiment);
  options.Check();
  RunRecord run = MakeRecord(experiment, options);
  if (store()->runs().Find(run.id)) throw Exists(run.id);
  if (!options.source_directory.empty()) {
    TakeSource({AbsolutePath(options.source_directory), {}, store()->layout().Root()}, store().get(), &run);
  }
  // The lock comes first: there is no moment in which the run is there and looks abandoned.
  const RunLayout layout = store()->RunPaths(run.id);
  MakeDirs(layout.Root());
  const std::shared_ptr<HostRun> host = HostRun::Begin(layout);
  try {
    const RunStore::Created created = store()->runs().Create(run, {RunState::kRunning});
    if (created.existed) throw Exists(run.id);
    return created.run;
  } catch (...) {
    host->End();
    throw;
  }
}

void LocalDriver::EndHostRun(HostRun *host, const std::string &id, RunState state, const RunError &error) {
  const std::lock_guard lock(host->ending());
  const RunState now = store()->runs().State(id);
  if (IsFinal(now)) {
    if (now == state) return;
    throw Error::InvalidState("run '" + id + "' has ended already as " + std::string(RunStateName(now)),
                              {{"run_id", id}});
  }
  host->journal()->Close();
  MetricGate gate(store()->RunPaths(id));
  gate.Close();
  try {
    store()->metrics().Fold(id, true);
  } catch (const Error &failure) {
    // The journals stay; whoever reads the run's metrics finds them there.
    Log(LogLevel::kError, "run " + id + ": cannot collect the metrics: " + failure.what());
  }
  while (!TryEnd(store().get(), id, state, error)) {
  }
  host->End();
}

void LocalDriver::EndRun(const std::string &id, RunState state, const RunError &error) {
  const RunLayout layout = Layout(location_).Run(id);
  if (const auto host = HostRun::Find(layout)) return EndHostRun(host.get(), id, state, error);
  if (IsRankOf(id)) {
    // The supervisor sees the end of its ranks; a failure it has to be told of.
    if (state == RunState::kFailed) DeclareFailure(layout, RankOfThisProcess(), error);
    return;
  }
  const RunState now = GetState(id);
  if (now == state) return;
  if (IsFinal(now)) {
    throw Error::InvalidState("run '" + id + "' has ended already as " + std::string(RunStateName(now)),
                              {{"run_id", id}});
  }
  throw NotOurs(store()->runs().Get(id));
}

void LocalDriver::Cancel(const std::string &id) {
  CancelOne(id);
  // New children are refused from now on: the list is complete.
  RunFilter below;
  below.ancestor_id = id;
  below.states = {RunState::kNotStarted, RunState::kStarting,      RunState::kProvisioning,
                  RunState::kPreparing,  RunState::kQueued,        RunState::kRunning,
                  RunState::kFinalizing, RunState::kNotResponding, RunState::kPaused};
  do {
    const RunPage page = store()->runs().List(below);
    for (const RunRecord &run : page.runs) CancelOne(run.id);
    below.page_token = page.next_page_token;
  } while (!below.page_token.empty());
}

void LocalDriver::CancelOne(const std::string &id) {
  if (IsFinal(GetState(id))) return;
  RunChange change;
  change.states = {RunState::kCancelRequested};
  change.only_from = {RunState::kNotStarted, RunState::kStarting,      RunState::kProvisioning,
                      RunState::kPreparing,  RunState::kQueued,        RunState::kRunning,
                      RunState::kFinalizing, RunState::kNotResponding, RunState::kPaused};
  store()->runs().Apply(id, change);  // answers nothing when it has ended meanwhile or is asked already
  // The record comes first: whoever settles a run without a supervisor must know that a cancel was asked.
  const RunLayout paths = store()->RunPaths(id);
  if (PathExists(paths.Control())) WriteFileAtomic(paths.CancelFile(), "");
  if (const auto host = HostRun::Find(paths)) return EndHostRun(host.get(), id, RunState::kCanceled, {});
  GetState(id);  // the first to look whether its supervisor can react at all
}

}  // namespace trainyard
