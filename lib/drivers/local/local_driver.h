// The local driver: a directory as the workspace, this machine as the compute, one detached supervisor process per run.
//
// Submit records a run and starts its supervisor (trainyard-runner); everything else reads the store, or leaves a
// request in the run's control directory for the supervisor. Whoever looks at a run settles it when its supervisor has
// died (drivers/local/settle.h). Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "drivers/driver.h"
#include "drivers/local/host_run.h"
#include "drivers/local/settle.h"
#include "store/store.h"

namespace trainyard {

std::shared_ptr<Driver> OpenLocalWorkspace(const std::string &location);
// Opens the store at the first call that needs it: a rank that logs metrics never does.
std::shared_ptr<Driver> OpenLocalWorkspaceLater(const std::string &location);

class LocalDriver : public Driver, public std::enable_shared_from_this<LocalDriver> {
 public:
  explicit LocalDriver(const std::string &location);

  const std::string &location() const override { return location_; }
  // Opened on first use.
  std::shared_ptr<Store> store();

  RunRecord Submit(const std::string &experiment, const Job &job) override;
  std::string Validate(const Job &job) override;
  RunRecord StartRun(const std::string &experiment, const HostRunOptions &options) override;
  void EndRun(const std::string &id, RunState state, const RunError &error) override;
  RunRecord GetRun(const std::string &id) override;
  RunState GetState(const std::string &id) override;
  RunState Wait(const std::string &id, int64_t timeout_ms) override;
  void Cancel(const std::string &id) override;
  void RequestStop(const std::string &id) override;
  void DeleteRun(const std::string &id) override;
  RunPage ListRuns(const RunFilter &filter) override;
  std::vector<std::string> ListExperiments() override;
  void SetTags(const std::string &id, const std::map<std::string, std::optional<std::string>> &tags) override;
  void SetProperties(const std::string &id, const std::map<std::string, std::string> &properties) override;

  std::unique_ptr<EventStream> Events(const std::string &id, std::string_view cursor, uint32_t mask) override;
  size_t ReadRunLog(const std::string &id, int32_t rank, uint64_t offset, void *buffer, size_t size) override;
  std::unique_ptr<MetricWriter> OpenMetrics(const std::string &id) override;
  std::vector<MetricSummary> ListMetrics(const std::string &id) override;
  MetricSeries QueryMetric(const std::string &id, const MetricQuery &query) override;
  std::map<std::string, std::vector<MetricEntry>> MetricValues(const std::string &id,
                                                               const MetricValuesQuery &query) override;
  std::vector<std::string> ListFiles(const std::string &id, const std::string &prefix) override;
  void DownloadFile(const std::string &id, const std::string &name, const std::string &destination) override;
  void DownloadFiles(const std::string &id, const std::string &prefix, const std::string &directory) override;
  void UploadFile(const std::string &id, const std::string &name, const std::string &path) override;
  void UploadFolder(const std::string &id, const std::string &name, const std::string &path) override;
  void RestoreSnapshot(const std::string &id, const std::string &directory) override;

  Compute CreateCompute(const Compute &compute) override;
  Compute GetCompute(const std::string &name) override;
  std::vector<std::string> ListComputes() override;
  std::string ComputeStatus(const std::string &name) override;
  void WaitCompute(const std::string &name, int32_t min_nodes, int64_t timeout_ms) override;
  void DeleteCompute(const std::string &name) override;

  ModelRecord RegisterModelFromRun(const std::string &id, const std::string &path, ModelRequest request) override;
  ModelRecord RegisterModelFromPath(const std::string &path, ModelRecord model) override;
  ModelRecord GetModel(const std::string &name, int64_t version) override;
  std::vector<std::string> ListModels() override;
  ModelPage QueryModels(const ModelFilter &filter) override;
  std::vector<int64_t> ListModelVersions(const std::string &name) override;
  void DownloadModel(const ModelRecord &model, const std::string &directory) override;
  void LinkModel(const ModelRecord &model, const std::string &directory) override;
  void SetModelTag(const ModelRecord &model, const std::string &key, const std::optional<std::string> &value) override;
  void DeleteModel(const ModelRecord &model) override;

  Environment GetEnvironment(const std::string &name, const std::string &version) override;
  Environment RegisterEnvironment(const Environment &environment) override;
  std::vector<std::string> ListEnvironments() override;
  std::vector<std::string> ListEnvironmentVersions(const std::string &name) override;
  void DeleteEnvironment(const std::string &name, const std::string &version) override;
  std::string BuildEnvironment(const Environment &environment, int log) override;

  void RegisterDatastore(const std::string &name, const std::string &directory) override;
  std::string DatastoreDirectory(const std::string &name) override;
  std::vector<std::string> ListDatastores() override;
  void DeleteDatastore(const std::string &name) override;
  void UploadToDatastore(const std::string &name, const std::string &path, const std::string &target,
                         bool overwrite) override;
  DataAsset RegisterData(const DataAsset &asset) override;
  DataAsset GetData(const std::string &name, int64_t version) override;
  void DeleteData(const std::string &name, int64_t version) override;
  std::vector<std::string> ListData() override;
  std::vector<int64_t> ListDataVersions(const std::string &name) override;

  std::string Prune(const PrunePolicy &policy) override;

 private:
  // An observer remembers the heartbeats of one live run; it belongs to one thread at a time.
  struct ObservedRun {
    ObservedRun(std::shared_ptr<Store> store, const std::string &id) : observer(std::move(store), id) {}
    std::mutex mutex;
    RunObserver observer;
  };

  // Replaces the name of the job's environment by its definition, made fit for the job.
  void ResolveEnvironment(Job *job, std::vector<std::string> *warnings);
  // Throws what would keep the environment from being made here, as far as it can be known.
  void CheckEnvironment(const Environment &environment);
  // Whether this process is a rank of that run, and which.
  static bool IsRankOf(const std::string &id);
  static int32_t RankOfThisProcess();
  void CancelOne(const std::string &id);
  void EndHostRun(HostRun *host, const std::string &id, RunState state, const RunError &error);

  const std::string location_;
  std::mutex open_mutex_;
  std::shared_ptr<Store> store_;
  std::mutex observed_mutex_;
  std::map<std::string, std::shared_ptr<ObservedRun>> observed_;  // live runs that somebody looked at
};

}  // namespace trainyard
