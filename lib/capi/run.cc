#include "trainyard/run.h"

#include <limits>

#include "capi/handles.h"
#include "core/records_json.h"
#include "drivers/transcript.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
using trainyard::capi::require_handle;
using trainyard::capi::require_out;

static_assert(static_cast<int32_t>(RunState::kNotStarted) == TY_RUN_NOT_STARTED &&
              static_cast<int32_t>(RunState::kStarting) == TY_RUN_STARTING &&
              static_cast<int32_t>(RunState::kProvisioning) == TY_RUN_PROVISIONING &&
              static_cast<int32_t>(RunState::kPreparing) == TY_RUN_PREPARING &&
              static_cast<int32_t>(RunState::kQueued) == TY_RUN_QUEUED &&
              static_cast<int32_t>(RunState::kRunning) == TY_RUN_RUNNING &&
              static_cast<int32_t>(RunState::kFinalizing) == TY_RUN_FINALIZING &&
              static_cast<int32_t>(RunState::kCompleted) == TY_RUN_COMPLETED &&
              static_cast<int32_t>(RunState::kFailed) == TY_RUN_FAILED &&
              static_cast<int32_t>(RunState::kCancelRequested) == TY_RUN_CANCEL_REQUESTED &&
              static_cast<int32_t>(RunState::kCanceled) == TY_RUN_CANCELED &&
              static_cast<int32_t>(RunState::kNotResponding) == TY_RUN_NOT_RESPONDING &&
              static_cast<int32_t>(RunState::kPaused) == TY_RUN_PAUSED);

namespace {

ty_run *NewRun(std::shared_ptr<Driver> driver, std::string id, std::string experiment) {
  auto run = std::make_unique<ty_run>();
  run->driver = std::move(driver);
  run->id = std::move(id);
  run->experiment = std::move(experiment);
  return run.release();
}

MetricWriter &MetricsOf(const ty_run *run) {
  const std::lock_guard lock(run->metrics_mutex);
  if (!run->metrics) run->metrics = run->driver->OpenMetrics(run->id);
  return *run->metrics;
}

void CheckMetricName(const char *name) {
  require(name, "name");
  if (*name == '\0') throw Error::InvalidArgument("the metric's name is empty");
}

// NULL stands for nothing given.
std::optional<std::string> Optional(const char *text) {
  return text == nullptr ? std::nullopt : std::optional<std::string>(text);
}

char *ValueOf(const std::map<std::string, std::string> &map, const char *key, const char *what,
              const std::string &run_id) {
  const auto place = map.find(key);
  if (place == map.end()) {
    throw Error::NotFound("run '" + run_id + "' has no " + what + " '" + key + "'", {{"run_id", run_id}, {"key", key}});
  }
  return capi::CopyString(place->second);
}

ty_error MakeFailure(const RunRecord &record) {
  const RunError &error = record.error;
  ty_error failure{Status::kRunFailed, error.message, {{"run_id", record.id}, {"code", error.code}}};
  if (error.rank >= 0) failure.details["rank"] = std::to_string(error.rank);
  if (!error.node.empty()) failure.details["node"] = error.node;
  if (error.exit_code) failure.details["exit_code"] = std::to_string(*error.exit_code);
  if (!error.signal.empty()) failure.details["signal"] = error.signal;
  if (!error.stderr_tail.empty()) failure.details["stderr"] = error.stderr_tail;
  return failure;
}

}  // namespace

extern "C" {

const char *ty_run_state_name(ty_run_state state) noexcept {
  // The names are literals: they end in NUL.
  return RunStateName(static_cast<RunState>(state)).data();
}

int32_t ty_run_state_is_final(ty_run_state state) noexcept {
  return IsFinal(static_cast<RunState>(state)) ? 1 : 0;
}

ty_status ty_run_submit(ty_workspace *workspace, const char *experiment, const ty_job *job, ty_run **out_run,
                        ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_run, "out_run");
    require_handle(workspace, "workspace");
    require(experiment, "experiment");
    require(job, "job");
    const RunRecord record = workspace->driver->Submit(experiment, job->job);
    *out_run = NewRun(workspace->driver, record.id, record.experiment);
  });
}

ty_status ty_run_get(ty_workspace *workspace, const char *run_id, ty_run **out_run, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_run, "out_run");
    require_handle(workspace, "workspace");
    require(run_id, "run_id");
    const RunRecord record = workspace->driver->GetRun(run_id);
    *out_run = NewRun(workspace->driver, record.id, record.experiment);
  });
}

ty_status ty_run_current(ty_run **out_run, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_run, "out_run");
    CurrentRun current = FindCurrentRun();
    *out_run = NewRun(std::move(current.driver), std::move(current.id), std::move(current.experiment));
  });
}

void ty_run_free(ty_run *run) noexcept {
  std::unique_ptr<ty_run>{run};
}

const char *ty_run_id(const ty_run *run) noexcept {
  return run == nullptr ? nullptr : run->id.c_str();
}

const char *ty_run_experiment(const ty_run *run) noexcept {
  return run == nullptr ? nullptr : run->experiment.c_str();
}

ty_status ty_run_get_state(const ty_run *run, ty_run_state *out_state, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_state, "out_state");
    require_handle(run, "run");
    *out_state = static_cast<ty_run_state>(run->driver->GetState(run->id));
  });
}

ty_status ty_run_wait(const ty_run *run, int64_t timeout_ms, ty_run_state *out_state, ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_state);
    require_handle(run, "run");
    if (timeout_ms < TY_WAIT_FOREVER) {
      throw Error::InvalidArgument("timeout_ms must be 0 or more, or TY_WAIT_FOREVER, got " +
                                   std::to_string(timeout_ms));
    }
    const RunState state = run->driver->Wait(run->id, timeout_ms);
    if (out_state != nullptr) *out_state = static_cast<ty_run_state>(state);
  });
}

ty_status ty_run_wait_for_completion(const ty_run *run, int32_t output_fd, ty_run_state *out_state,
                                     ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_state);
    require_handle(run, "run");
    if (output_fd < -1) throw Error::InvalidArgument("output_fd must be a file descriptor, or -1 for none");
    const RunState state = PrintTranscript(run->driver.get(), run->id, output_fd);
    if (out_state != nullptr) *out_state = static_cast<ty_run_state>(state);
  });
}

ty_status ty_run_cancel(const ty_run *run, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    run->driver->Cancel(run->id);
  });
}

ty_status ty_run_request_stop(const ty_run *run, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    run->driver->RequestStop(run->id);
  });
}

ty_status ty_run_failure(const ty_run *run, ty_error **out_failure, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_failure, "out_failure");
    require_handle(run, "run");
    const RunRecord record = run->driver->GetRun(run->id);
    if (record.state != RunState::kFailed) return;
    *out_failure = std::make_unique<ty_error>(MakeFailure(record)).release();
  });
}

ty_status ty_run_to_json(const ty_run *run, char **out_json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_json, "out_json");
    require_handle(run, "run");
    *out_json = capi::CopyString(RunToJson(run->driver->GetRun(run->id)).DumpPretty());
  });
}

ty_status ty_run_log_read(const ty_run *run, int32_t rank, uint64_t offset, void *buffer, size_t size, size_t *out_read,
                          ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_read, "out_read");
    require_handle(run, "run");
    require(buffer, "buffer");
    *out_read = run->driver->ReadRunLog(run->id, rank, offset, buffer, size);
  });
}

ty_status ty_run_log_metric(const ty_run *run, const char *name, double value, int64_t step, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    CheckMetricName(name);
    if (step < -1)
      throw Error::InvalidArgument("step must be 0 or more, or -1 for the next, got " + std::to_string(step));
    MetricsOf(run).Append(name, value, step < 0 ? std::nullopt : std::optional<int64_t>(step));
  });
}

ty_status ty_run_log_metrics(const ty_run *run, const char *name, const double *values, const int64_t *steps,
                             size_t count, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    CheckMetricName(name);
    require(values, "values");
    const std::span<const int64_t> given =
        steps == nullptr ? std::span<const int64_t>() : std::span<const int64_t>(steps, count);
    for (const int64_t step : given) {
      if (step < 0) throw Error::InvalidArgument("steps must be 0 or more, got " + std::to_string(step));
    }
    MetricsOf(run).AppendBatch(name, {values, count}, given);
  });
}

ty_status ty_run_log_progress(const ty_run *run, const char *json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(json, "json");
    if (!Json::Parse(json, "progress").is_object()) throw Error::InvalidArgument("progress must be a JSON object");
    MetricsOf(run).Progress(json);
  });
}

ty_status ty_run_flush(const ty_run *run, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    const std::lock_guard lock(run->metrics_mutex);
    if (run->metrics) run->metrics->Flush();
  });
}

ty_status ty_run_list_metrics(const ty_run *run, ty_string_list **out_names, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_names, "out_names");
    require_handle(run, "run");
    *out_names = capi::MakeStringList(run->driver->ListMetrics(run->id));
  });
}

ty_status ty_run_get_metric(const ty_run *run, const char *name, const char *query_json, ty_metric_series **out_series,
                            ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_series, "out_series");
    require_handle(run, "run");
    CheckMetricName(name);
    MetricQuery query = MetricQueryFromJson(capi::OptionalString(query_json));
    query.name = name;
    MetricSeries found = run->driver->QueryMetric(run->id, query);
    auto series = std::make_unique<ty_metric_series>();
    series->total = found.total;
    series->ranks = std::move(found.ranks);
    if (series->ranks.empty()) series->ranks.assign(found.points.size(), query.rank.value_or(0));
    series->steps.reserve(found.points.size());
    series->times.reserve(found.points.size());
    series->values.reserve(found.points.size());
    for (const MetricPoint &point : found.points) {
      series->steps.push_back(point.step);
      series->times.push_back(point.time_ms);
      series->values.push_back(point.value);
    }
    *out_series = series.release();
  });
}

ty_status ty_run_get_metric_value(const ty_run *run, const char *name, double *out_value, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_value, "out_value");
    require_handle(run, "run");
    CheckMetricName(name);
    MetricQuery query;
    query.name = name;
    query.limit = 1;
    // Points come by rank, then in the order they were logged: the last one is at the end.
    const int64_t total = run->driver->QueryMetric(run->id, query).total;
    query.offset = total > 0 ? total - 1 : 0;
    const MetricSeries last = run->driver->QueryMetric(run->id, query);
    if (last.points.empty())
      throw Error::NotFound("metric '" + query.name + "' has no points yet", {{"run_id", run->id}});
    *out_value = last.points.back().value;
  });
}

size_t ty_metric_series_size(const ty_metric_series *series) noexcept {
  return series == nullptr ? 0 : series->values.size();
}

int64_t ty_metric_series_total(const ty_metric_series *series) noexcept {
  return series == nullptr ? 0 : series->total;
}

const int64_t *ty_metric_series_steps(const ty_metric_series *series) noexcept {
  return series == nullptr || series->steps.empty() ? nullptr : series->steps.data();
}

const int64_t *ty_metric_series_times(const ty_metric_series *series) noexcept {
  return series == nullptr || series->times.empty() ? nullptr : series->times.data();
}

const double *ty_metric_series_values(const ty_metric_series *series) noexcept {
  return series == nullptr || series->values.empty() ? nullptr : series->values.data();
}

const int32_t *ty_metric_series_ranks(const ty_metric_series *series) noexcept {
  return series == nullptr || series->ranks.empty() ? nullptr : series->ranks.data();
}

void ty_metric_series_free(ty_metric_series *series) noexcept {
  std::unique_ptr<ty_metric_series>{series};
}

ty_status ty_run_set_tag(const ty_run *run, const char *key, const char *value, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(key, "key");
    run->driver->SetTag(run->id, key, Optional(value));
  });
}

ty_status ty_run_set_property(const ty_run *run, const char *key, const char *value, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(key, "key");
    require(value, "value");
    run->driver->SetProperty(run->id, key, value);
  });
}

ty_status ty_run_get_tag(const ty_run *run, const char *key, char **out_value, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_value, "out_value");
    require_handle(run, "run");
    require(key, "key");
    *out_value = ValueOf(run->driver->GetRun(run->id).tags, key, "tag", run->id);
  });
}

ty_status ty_run_get_property(const ty_run *run, const char *key, char **out_value, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_value, "out_value");
    require_handle(run, "run");
    require(key, "key");
    *out_value = ValueOf(run->driver->GetRun(run->id).properties, key, "property", run->id);
  });
}

ty_status ty_run_list_files(const ty_run *run, const char *prefix, ty_string_list **out_names,
                            ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_names, "out_names");
    require_handle(run, "run");
    *out_names = capi::MakeStringList(run->driver->ListFiles(run->id, capi::OptionalString(prefix)));
  });
}

ty_status ty_run_download_file(const ty_run *run, const char *name, const char *destination, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(name, "name");
    require(destination, "destination");
    run->driver->DownloadFile(run->id, name, destination);
  });
}

ty_status ty_run_download_files(const ty_run *run, const char *prefix, const char *directory, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(directory, "directory");
    run->driver->DownloadFiles(run->id, capi::OptionalString(prefix), directory);
  });
}

ty_status ty_run_upload_file(const ty_run *run, const char *name, const char *path, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(name, "name");
    require(path, "path");
    run->driver->UploadFile(run->id, name, path);
  });
}

ty_status ty_run_register_model(const ty_run *run, const char *model_name, const char *path, const char *metadata_json,
                                ty_model **out_model, ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_model);
    require_handle(run, "run");
    require(model_name, "model_name");
    ModelRecord wanted = ModelMetadataFromJson(capi::OptionalString(metadata_json));
    wanted.name = model_name;
    ModelRecord made =
        run->driver->RegisterModelFromRun(run->id, path == nullptr ? "outputs" : path, std::move(wanted));
    if (out_model != nullptr) *out_model = capi::MakeModel(run->driver, std::move(made));
  });
}

ty_status ty_run_restore_snapshot(const ty_run *run, const char *directory, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(directory, "directory");
    run->driver->RestoreSnapshot(run->id, directory);
  });
}

ty_status ty_run_delete(const ty_run *run, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    run->driver->DeleteRun(run->id);
  });
}

}  // extern "C"
