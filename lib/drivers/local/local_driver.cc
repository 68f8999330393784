#include "drivers/local/local_driver.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <limits>
#include <utility>

#include "core/records_json.h"
#include "core/run_id.h"
#include "drivers/local/event_follower.h"
#include "drivers/local/metric_writer.h"
#include "drivers/local/uploads.h"
#include "drivers/run_tree.h"
#include "store/log_tail.h"
#include "store/prune.h"
#include "store/run_files.h"
#include "store/snapshot.h"
#include "store/watcher.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/inside.h"
#include "util/text.h"

namespace trainyard {
namespace {

// How long a watcher sleeps at most before it looks whether the supervisor is still alive: a dead one rings no bell.
constexpr int64_t kLookEveryMs = 1000;
constexpr int32_t kPageSize = 1000;

// A number in this process's environment, as the launcher sets it for ranks.
int32_t NumberVariable(const char *name, int32_t fallback) {
  const char *text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here changes the environment
  if (text == nullptr) return fallback;
  const auto number = ParseInt64(text);
  const bool fits = number && *number >= 0 && *number <= std::numeric_limits<int32_t>::max();
  return fits ? static_cast<int32_t>(*number) : fallback;
}

// What is kept has a name that can be told of.
void CheckFileName(const std::string &name, const std::string &directory) {
  if (IsValidUtf8(name)) return;
  throw Error::InvalidArgument("the file name '" + SanitizeUtf8(name) + "' in '" + directory +
                                   "' is not valid UTF-8: rename it; nothing was uploaded",
                               {{"path", directory}});
}

}  // namespace

std::shared_ptr<Driver> OpenLocalWorkspace(const std::string &location) {
  auto driver = std::make_shared<LocalDriver>(location);
  driver->store();
  return driver;
}

std::shared_ptr<Driver> OpenLocalWorkspaceLater(const std::string &location) {
  return std::make_shared<LocalDriver>(location);
}

LocalDriver::LocalDriver(const std::string &location) : location_(AbsolutePath(location)) {}

std::shared_ptr<Store> LocalDriver::store() {
  const std::lock_guard lock(open_mutex_);
  if (!store_) store_ = Store::Open(location_);
  return store_;
}

RunRecord LocalDriver::GetRun(const std::string &id) {
  GetState(id);
  return store()->runs().Get(id);
}

RunState LocalDriver::GetState(const std::string &id) {
  RunState state = store()->runs().State(id);
  if (IsFinal(state)) return state;
  std::shared_ptr<ObservedRun> observed;
  {
    const std::lock_guard lock(observed_mutex_);
    auto &entry = observed_[id];
    if (!entry) entry = std::make_shared<ObservedRun>(store(), id);
    observed = entry;
  }
  {
    const std::lock_guard lock(observed->mutex);
    state = observed->observer.Check();
  }
  if (IsFinal(state)) {
    const std::lock_guard lock(observed_mutex_);
    observed_.erase(id);
  }
  return state;
}

RunState LocalDriver::Wait(const std::string &id, int64_t timeout_ms) {
  RunState state = GetState(id);
  if (IsFinal(state) || timeout_ms == 0) return state;
  const auto subscription = WatchRun(store()->RunPaths(id));
  const int64_t start = MonotonicMs();
  for (;;) {
    subscription->Clear();
    state = GetState(id);
    if (IsFinal(state)) return state;
    const int64_t left = timeout_ms < 0 ? kLookEveryMs : timeout_ms - (MonotonicMs() - start);
    if (left <= 0) return state;
    subscription->Wait(std::min(left, kLookEveryMs));
  }
}

void LocalDriver::DeleteRun(const std::string &id) {
  // Settled, in case their supervisors have died.
  for (const RunRecord &child : ListChildren(this, id, true, {})) GetState(child.id);
  GetState(id);
  store()->runs().Delete(id);
}

RunPage LocalDriver::ListRuns(const RunFilter &filter) {
  return store()->runs().List(filter);
}

std::vector<std::string> LocalDriver::ListExperiments() {
  std::vector<std::string> names;
  for (const ExperimentSummary &experiment : store()->runs().ListExperiments()) names.push_back(experiment.name);
  std::sort(names.begin(), names.end());
  return names;
}

void LocalDriver::SetTags(const std::string &id, const std::map<std::string, std::optional<std::string>> &tags) {
  RunChange change;
  for (const auto &[key, value] : tags) {
    if (value) {
      change.tags[key] = *value;
    } else {
      change.removed_tags.push_back(key);
    }
  }
  store()->runs().Apply(id, change);
}

void LocalDriver::SetProperties(const std::string &id, const std::map<std::string, std::string> &properties) {
  RunChange change;
  change.properties = properties;
  store()->runs().Apply(id, change);
}

std::unique_ptr<EventStream> LocalDriver::Events(const std::string &id, std::string_view cursor, uint32_t mask) {
  GetState(id);
  return FollowEvents(store(), id, cursor, mask, [this, id, self = shared_from_this()] { GetState(id); });
}

size_t LocalDriver::ReadRunLog(const std::string &id, int32_t rank, uint64_t offset, void *buffer, size_t size) {
  const RunRecord run = store()->runs().Get(id);
  const bool of_a_rank = rank != kRunnerRank && rank != kBuildLogRank;
  if (of_a_rank && (rank < 0 || rank >= run.rank_count)) {
    throw Error::NotFound("run '" + id + "' has no rank " + std::to_string(rank) + ": it has ranks 0 to " +
                          std::to_string(run.rank_count - 1));
  }
  if (offset > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return 0;
  const RunLayout paths = store()->RunPaths(id);
  if (!of_a_rank) {
    const std::string path = rank == kRunnerRank ? paths.RunnerLog() : paths.EnvironmentBuildLog();
    const UniqueFd file = OpenRegularFile(path);
    return file.valid() ? ReadAt(file.get(), buffer, size, offset, path) : 0;
  }
  const LogSlice slice = ReadLog(paths, rank, run.rank_count, static_cast<int64_t>(offset), size);
  std::copy(slice.data.begin(), slice.data.end(), static_cast<char *>(buffer));
  return slice.data.size();
}

bool LocalDriver::IsRankOf(const std::string &id) {
  const char *own = std::getenv("TRAINYARD_RUN_ID");  // NOLINT(concurrency-mt-unsafe)
  return own != nullptr && id == own;
}

int32_t LocalDriver::RankOfThisProcess() {
  return NumberVariable("RANK", 0);
}

std::unique_ptr<MetricWriter> LocalDriver::OpenMetrics(const std::string &id) {
  const RunLayout paths = Layout(location_).Run(id);
  // A rank of this very run lives no longer than the run does, and the host of a run ends it itself; anybody else must
  // not write to a run that has ended.
  if (IsRankOf(id)) {
    return WriteMetrics(
        paths,
        std::make_shared<JournalWriter>(paths.Journal(), RankOfThisProcess(), NumberVariable("TRAINYARD_ATTEMPT", 0)),
        nullptr);
  }
  if (const auto host = HostRun::Find(paths)) return WriteMetrics(paths, host->journal(), nullptr);
  const auto check = [store = store(), id] {
    if (!IsFinal(store->runs().State(id))) return;
    throw Error::InvalidState("run '" + id + "' has ended: metrics can be logged only while it runs", {{"run_id", id}});
  };
  GetState(id);
  check();
  return WriteMetrics(paths, std::make_shared<JournalWriter>(paths.Journal(), 0, 0), check);
}

std::vector<MetricSummary> LocalDriver::ListMetrics(const std::string &id) {
  std::vector<MetricSummary> metrics = store()->metrics().ListNames(id);
  std::sort(metrics.begin(), metrics.end(),
            [](const MetricSummary &a, const MetricSummary &b) { return a.name < b.name; });
  return metrics;
}

MetricSeries LocalDriver::QueryMetric(const std::string &id, const MetricQuery &query) {
  MetricSeries series = store()->metrics().Query(id, query);
  if (series.total == 0) {
    std::vector<std::string> names;
    for (const MetricSummary &metric : ListMetrics(id)) names.push_back(metric.name);
    if (std::find(names.begin(), names.end(), query.name) == names.end()) {
      throw Error::NotFound("run '" + id + "' has no metric '" + query.name + "'" + DidYouMean(query.name, names),
                            {{"run_id", id}});
    }
  }
  return series;
}

std::map<std::string, std::vector<MetricEntry>> LocalDriver::MetricValues(const std::string &id,
                                                                          const MetricValuesQuery &query) {
  return store()->metrics().Values(id, query);
}

std::vector<std::string> LocalDriver::ListFiles(const std::string &id, const std::string &prefix) {
  store()->runs().State(id);
  const RunFiles files(store()->RunPaths(id));
  std::vector<std::string> names;
  std::string token;
  do {
    const FilePage page = files.List(prefix, kPageSize, token);
    for (const StoredFile &file : page.files) names.push_back(file.path);
    token = page.next_page_token;
  } while (!token.empty());
  return names;
}

void LocalDriver::DownloadFile(const std::string &id, const std::string &name, const std::string &destination) {
  store()->runs().State(id);
  RunFiles(store()->RunPaths(id)).Download(name, destination);
}

void LocalDriver::DownloadFiles(const std::string &id, const std::string &prefix, const std::string &directory) {
  store()->runs().State(id);
  if (RunFiles(store()->RunPaths(id)).DownloadAll(prefix, directory) == 0) {
    throw Error::NotFound("run '" + id + "' has no file whose name starts with '" + prefix + "'", {{"run_id", id}});
  }
}

void LocalDriver::UploadFile(const std::string &id, const std::string &name, const std::string &path) {
  store()->runs().State(id);
  const RunFiles files(store()->RunPaths(id));
  if (files.IsTaken(name)) {
    // A script of the run that wrote the file to its place adds it, too.
    if (files.IsSame(name, path)) return;
    throw Error(Status::kAlreadyExists, "run '" + id + "' has a file '" + name + "' already: choose another name",
                {{"run_id", id}, {"path", name}});
  }
  files.Upload(path, name);
}

void LocalDriver::UploadFolder(const std::string &id, const std::string &name, const std::string &path) {
  store()->runs().State(id);
  const RunFiles files(store()->RunPaths(id));
  const auto info = Stat(path);
  if (!info) throw Error::NotFound("there is no folder '" + path + "' to upload", {{"path", path}});
  if (info->kind != FileInfo::Kind::kDirectory) {
    throw Error::InvalidArgument("'" + path + "' is not a folder: upload it with ty_run_upload_file", {{"path", path}});
  }
  const std::vector<std::string> tree = FilesToUpload(path);
  for (const std::string &file : tree) {
    CheckFileName(file, path);
    if (!files.IsTaken(name + "/" + file)) continue;
    throw Error(Status::kAlreadyExists,
                "run '" + id + "' has a file '" + name + "/" + file + "' already: choose another name",
                {{"run_id", id}, {"path", name + "/" + file}});
  }
  for (const std::string &file : tree) files.Upload(JoinPath(path, file), name + "/" + file);
}

void LocalDriver::RestoreSnapshot(const std::string &id, const std::string &directory) {
  const RunRecord run = store()->runs().Get(id);
  if (run.snapshot_id.empty()) throw Error::NotFound("run '" + id + "' was submitted without a source directory");
  if (PathExists(directory) && !ListDir(directory).empty()) {
    throw Error(Status::kAlreadyExists, "'" + directory + "' is not empty: give an empty or new directory",
                {{"path", directory}});
  }
  trainyard::RestoreSnapshot(LoadSnapshot(run.snapshot_id, store()->objects()), store()->objects(), directory);
}

ModelRecord LocalDriver::RegisterModelFromRun(const std::string &id, const std::string &path, ModelRequest request) {
  CheckModelName(request.model.name);
  const RunRecord run = store()->runs().Get(id);
  const RunFiles files(store()->RunPaths(id));
  request.model.run_id = id;
  request.model.lineage_json = LineageOf(run).Dump();
  const std::string tree = files.ResolveTree(path);
  const bool whole = tree == files.ResolveTree("outputs");
  return store()->models().Register(request.model, tree, whole && !request.include_checkpoints ? "checkpoints" : "");
}

ModelRecord LocalDriver::RegisterModelFromPath(const std::string &path, ModelRecord model) {
  CheckModelName(model.name);
  return store()->models().Register(model, AbsolutePath(path));
}

ModelRecord LocalDriver::GetModel(const std::string &name, int64_t version) {
  return store()->models().Get(name, version);
}

std::vector<std::string> LocalDriver::ListModels() {
  std::vector<std::string> names;
  std::string token;
  do {
    ModelFilter filter;
    filter.limit = kPageSize;
    filter.page_token = token;
    const ModelPage page = store()->models().List(filter);
    for (const ModelRecord &model : page.models) {
      if (names.empty() || names.back() != model.name) names.push_back(model.name);
    }
    token = page.next_page_token;
  } while (!token.empty());
  return names;
}

ModelPage LocalDriver::QueryModels(const ModelFilter &filter) {
  return store()->models().List(filter);
}

std::vector<int64_t> LocalDriver::ListModelVersions(const std::string &name) {
  CheckModelName(name);
  std::vector<int64_t> versions;
  std::string token;
  do {
    ModelFilter filter;
    filter.name = name;
    filter.limit = kPageSize;
    filter.page_token = token;
    const ModelPage page = store()->models().List(filter);
    for (const ModelRecord &model : page.models) versions.push_back(model.version);
    token = page.next_page_token;
  } while (!token.empty());
  std::sort(versions.begin(), versions.end());
  return versions;
}

void LocalDriver::DownloadModel(const ModelRecord &model, const std::string &directory) {
  store()->models().Download(store()->models().Get(model.name, model.version), directory, /*overwrite=*/true);
}

void LocalDriver::LinkModel(const ModelRecord &model, const std::string &directory) {
  const ModelRecord whole = store()->models().Get(model.name, model.version);
  for (const StoredFile &file : whole.files) {
    const std::string link = JoinPath(directory, file.path);
    MakeDirs(ParentPath(link));
    const std::string object = store()->models().FilePath(whole, file.path);
    if (symlink(object.c_str(), link.c_str()) != 0) throw Error::FromErrno(errno, "link", link);
  }
}

void LocalDriver::SetModelTag(const ModelRecord &model, const std::string &key,
                              const std::optional<std::string> &value) {
  if (value) {
    store()->models().SetTag(model.name, model.version, key, *value);
  } else {
    store()->models().RemoveTag(model.name, model.version, key);
  }
}

void LocalDriver::DeleteModel(const ModelRecord &model) {
  store()->models().Delete(model.name, model.version);
}

std::string LocalDriver::Prune(const PrunePolicy &policy) {
  PruneRequest request;
  request.dry_run = policy.dry_run;
  request.experiment = policy.experiment;
  request.objects = policy.unreferenced_objects;
  if (policy.environments_unused_ms > 0)
    request.environments_unused_before_ms = NowUnixMs() - policy.environments_unused_ms;
  if (policy.runs_older_than_ms > 0) request.runs_ended_before_ms = NowUnixMs() - policy.runs_older_than_ms;
  request.runs_to_keep = policy.keep_last_runs;
  const PruneReport report = trainyard::Prune(store().get(), request);
  Json json = Json::Object();
  json.Set("dry_run", policy.dry_run)
      .Set("runs", report.runs.names)
      .Set("environments", report.environments.names)
      .Set("objects", report.objects.count)
      .Set("bytes", report.runs.bytes + report.environments.bytes + report.objects.bytes);
  return json.Dump();
}

}  // namespace trainyard
