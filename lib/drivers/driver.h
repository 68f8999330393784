// What a workspace can do: the one interface between the C API and the back-ends (registry.cc lists them). A handle
// never knows which back-end it has. Thread rule: every function may be called concurrently. All failures are Error.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/compute.h"
#include "core/data_reference.h"
#include "core/environment.h"
#include "core/event.h"
#include "core/host_run.h"
#include "core/job.h"
#include "core/metric.h"
#include "core/model.h"
#include "core/run.h"

namespace trainyard {

// Follows the events of one run. Used by one thread at a time, but for the descriptor.
class EventStream {
 public:
  virtual ~EventStream() = default;

  // Waits up to `timeout_ms` (-1 = no limit). Nothing: the time was over, or ended().
  virtual std::optional<Event> Next(int64_t timeout_ms) = 0;
  virtual bool ended() const = 0;  // the run is final and everything was given
  virtual int fd() = 0;            // readable while Next may have something
  virtual std::string cursor() const = 0;
  // `wake` is called on a library thread when something may be there; an empty one takes it back.
  virtual void SetWake(std::function<void()> wake) = 0;
};

// Writes the metrics of one rank. Thread-safe.
class MetricWriter {
 public:
  virtual ~MetricWriter() = default;

  virtual void Append(std::string_view name, double value, std::optional<int64_t> step) = 0;
  virtual void AppendBatch(std::string_view name, std::span<const double> values, std::span<const int64_t> steps) = 0;
  // A value of another kind; `json` as CheckMetricValue and CheckMetricText give it.
  virtual void Record(MetricKind kind, std::string_view name, std::string_view json, std::optional<int64_t> step) = 0;
  // Keeps a copy of the file with the run.
  virtual void Image(std::string_view name, const std::string &path, std::string_view caption,
                     std::optional<int64_t> step) = 0;
  virtual void Progress(std::string_view json) = 0;
  virtual void Flush() = 0;
};

// Instead of a rank's log: the supervisor's own; that of the making of the run's environment.
inline constexpr int32_t kRunnerRank = -1;
inline constexpr int32_t kBuildLogRank = -3;

struct PrunePolicy {
  bool dry_run = true;
  int64_t runs_older_than_ms = 0;  // since they ended; 0 = no run for its age
  int64_t keep_last_runs = -1;     // of each experiment; -1 = all
  std::string experiment;          // empty = all
  bool unreferenced_objects = true;
  int64_t environments_unused_ms = 0;  // made ones that no run has used for so long; 0 = all stay
};

class Driver {
 public:
  virtual ~Driver() = default;

  virtual const std::string &location() const = 0;

  // Runs.
  virtual RunRecord Submit(const std::string &experiment, const Job &job) = 0;
  virtual std::string Validate(const Job &job) = 0;  // ty_job_validate's report
  // A run that this process executes itself: it is Running until EndRun (kCompleted or kFailed), a cancel, or the end
  // of this process. EndRun on the run that this process is a rank of: nothing to complete, but a failure is noted.
  virtual RunRecord StartRun(const std::string &experiment, const HostRunOptions &options) = 0;
  virtual void EndRun(const std::string &id, RunState state, const RunError &error) = 0;
  virtual RunRecord GetRun(const std::string &id) = 0;
  virtual RunState GetState(const std::string &id) = 0;
  virtual RunState Wait(const std::string &id, int64_t timeout_ms) = 0;
  virtual void Cancel(const std::string &id) = 0;  // its descendants too
  virtual void RequestStop(const std::string &id) = 0;
  // With its descendants.
  virtual void DeleteRun(const std::string &id) = 0;
  virtual RunPage ListRuns(const RunFilter &filter) = 0;
  virtual std::vector<std::string> ListExperiments() = 0;
  // All of them or none; a tag without a value is removed.
  virtual void SetTags(const std::string &id, const std::map<std::string, std::optional<std::string>> &tags) = 0;
  virtual void SetProperties(const std::string &id, const std::map<std::string, std::string> &properties) = 0;

  // What runs tell and leave.
  virtual std::unique_ptr<EventStream> Events(const std::string &id, std::string_view cursor, uint32_t mask) = 0;
  // `rank` is one of the run's, kRunnerRank or kBuildLogRank.
  virtual size_t ReadRunLog(const std::string &id, int32_t rank, uint64_t offset, void *buffer, size_t size) = 0;
  virtual std::unique_ptr<MetricWriter> OpenMetrics(const std::string &id) = 0;
  virtual std::vector<MetricSummary> ListMetrics(const std::string &id) = 0;  // by name
  virtual MetricSeries QueryMetric(const std::string &id, const MetricQuery &query) = 0;
  virtual std::map<std::string, std::vector<MetricEntry>> MetricValues(const std::string &id,
                                                                       const MetricValuesQuery &query) = 0;
  virtual std::vector<std::string> ListFiles(const std::string &id, const std::string &prefix) = 0;
  virtual void DownloadFile(const std::string &id, const std::string &name, const std::string &destination) = 0;
  virtual void DownloadFiles(const std::string &id, const std::string &prefix, const std::string &directory) = 0;
  virtual void UploadFile(const std::string &id, const std::string &name, const std::string &path) = 0;
  virtual void UploadFolder(const std::string &id, const std::string &name, const std::string &path) = 0;
  virtual void RestoreSnapshot(const std::string &id, const std::string &directory) = 0;

  // Computes. Create answers the one that is there when its settings are the same.
  virtual Compute CreateCompute(const Compute &compute) = 0;
  virtual Compute GetCompute(const std::string &name) = 0;
  virtual std::vector<std::string> ListComputes() = 0;
  virtual std::string ComputeStatus(const std::string &name) = 0;  // ty_compute_status's report
  // Until so many nodes are there; Error kTimeout.
  virtual void WaitCompute(const std::string &name, int32_t min_nodes, int64_t timeout_ms) = 0;
  virtual void DeleteCompute(const std::string &name) = 0;

  // Models. `model` gives name, tags and the like; version and files are filled in.
  virtual ModelRecord RegisterModelFromRun(const std::string &id, const std::string &path, ModelRequest request) = 0;
  virtual ModelRecord RegisterModelFromPath(const std::string &path, ModelRecord model) = 0;
  virtual ModelRecord GetModel(const std::string &name, int64_t version) = 0;  // 0 = the latest
  virtual std::vector<std::string> ListModels() = 0;                           // names
  virtual ModelPage QueryModels(const ModelFilter &filter) = 0;                // versions, without their files
  virtual std::vector<int64_t> ListModelVersions(const std::string &name) = 0;
  virtual void DownloadModel(const ModelRecord &model, const std::string &directory) = 0;
  // Puts the model's files into an empty directory for reading only, without a copy where that is possible.
  virtual void LinkModel(const ModelRecord &model, const std::string &directory) = 0;
  virtual void SetModelTag(const ModelRecord &model, const std::string &key,
                           const std::optional<std::string> &value) = 0;
  virtual void DeleteModel(const ModelRecord &model) = 0;

  // Environments. An empty version is the latest.
  virtual Environment GetEnvironment(const std::string &name, const std::string &version) = 0;
  virtual Environment RegisterEnvironment(const Environment &environment) = 0;
  virtual std::vector<std::string> ListEnvironments() = 0;  // registered and curated
  virtual std::vector<std::string> ListEnvironmentVersions(const std::string &name) = 0;
  virtual void DeleteEnvironment(const std::string &name, const std::string &version) = 0;
  // Makes it ready for runs; its log is written to the descriptor `log` as it grows (-1 = not). Answers
  // ty_environment_build's report.
  virtual std::string BuildEnvironment(const Environment &environment, int log) = 0;

  // Datastores and data assets.
  virtual void RegisterDatastore(const std::string &name, const std::string &directory) = 0;
  virtual std::string DatastoreDirectory(const std::string &name) = 0;
  virtual std::vector<std::string> ListDatastores() = 0;
  virtual void DeleteDatastore(const std::string &name) = 0;
  virtual void UploadToDatastore(const std::string &name, const std::string &path, const std::string &target,
                                 bool overwrite) = 0;
  virtual DataAsset RegisterData(const DataAsset &asset) = 0;
  virtual DataAsset GetData(const std::string &name, int64_t version) = 0;  // 0 = the latest
  virtual void DeleteData(const std::string &name, int64_t version) = 0;
  virtual std::vector<std::string> ListData() = 0;
  virtual std::vector<int64_t> ListDataVersions(const std::string &name) = 0;

  virtual std::string Prune(const PrunePolicy &policy) = 0;  // ty_workspace_prune's report
};

// Opens a workspace by its location: a directory, or a URI whose scheme is in the table of registry.cc.
std::shared_ptr<Driver> OpenWorkspace(const std::string &location);

// The run this process is a rank of (TRAINYARD_WORKSPACE, TRAINYARD_RUN_ID). Nothing is read yet: a rank that only logs
// metrics never opens the workspace's database. Error kNotFound outside a run.
struct CurrentRun {
  std::shared_ptr<Driver> driver;
  std::string id, experiment;
};
CurrentRun FindCurrentRun();

}  // namespace trainyard
