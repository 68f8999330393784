#include "trainyard/run.h"

#include "capi/handles.h"
#include "core/records_json.h"
#include "drivers/run_tree.h"
#include "drivers/transcript.h"
#include "util/text.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
using trainyard::capi::require_handle;
using trainyard::capi::require_out;

static_assert(kAllRanks == TY_RANK_ALL && kRunnerRank == TY_RANK_RUNNER && kBuildLogRank == TY_RANK_ENVIRONMENT);
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

namespace trainyard::capi {

ty_run *MakeRun(std::shared_ptr<Driver> driver, std::string id, std::string experiment) {
  auto run = std::make_unique<ty_run>();
  run->driver = std::move(driver);
  run->id = std::move(id);
  run->experiment = std::move(experiment);
  return run.release();
}

}  // namespace trainyard::capi

namespace {

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
  ty_error failure{Status::kRunFailed,
                   PrintableLine(error.message, capi::kMaxMessage),
                   {{"run_id", record.id}, {"code", error.code}}};
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
    *out_run = capi::MakeRun(workspace->driver, record.id, record.experiment);
  });
}

ty_status ty_run_get(ty_workspace *workspace, const char *run_id, ty_run **out_run, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_run, "out_run");
    require_handle(workspace, "workspace");
    require(run_id, "run_id");
    const RunRecord record = workspace->driver->GetRun(run_id);
    *out_run = capi::MakeRun(workspace->driver, record.id, record.experiment);
  });
}

ty_status ty_run_current(ty_run **out_run, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_run, "out_run");
    CurrentRun current = FindCurrentRun();
    *out_run = capi::MakeRun(std::move(current.driver), std::move(current.id), std::move(current.experiment));
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

ty_status ty_run_stream(const ty_run *run, int32_t output_fd, int32_t rank, ty_run_state *out_state,
                        ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_state);
    require_handle(run, "run");
    if (output_fd < -1) throw Error::InvalidArgument("output_fd must be a file descriptor, or -1 for none");
    if (rank < 0 && rank != TY_RANK_ALL) throw Error::InvalidArgument("rank must be 0 or more, or TY_RANK_ALL");
    const RunState state = PrintTranscript(run->driver.get(), run->id, output_fd, rank);
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

ty_status ty_run_set_tag(const ty_run *run, const char *key, const char *value, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(key, "key");
    run->driver->SetTags(run->id, {{key, Optional(value)}});
  });
}

ty_status ty_run_set_tags(const ty_run *run, const char *json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(json, "json");
    std::map<std::string, std::optional<std::string>> tags;
    for (const auto &[key, value] : Json::Parse(json, "tags").Members()) {
      tags[key] = value.is_null() ? std::nullopt : std::optional<std::string>(value.AsString());
    }
    run->driver->SetTags(run->id, tags);
  });
}

ty_status ty_run_set_property(const ty_run *run, const char *key, const char *value, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(key, "key");
    require(value, "value");
    run->driver->SetProperties(run->id, {{key, value}});
  });
}

ty_status ty_run_set_properties(const ty_run *run, const char *json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(json, "json");
    run->driver->SetProperties(run->id, Json::Parse(json, "properties").AsStringMap());
  });
}

ty_status ty_run_list_tags(const ty_run *run, char **out_json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_json, "out_json");
    require_handle(run, "run");
    *out_json = capi::CopyString(Json(run->driver->GetRun(run->id).tags).Dump());
  });
}

ty_status ty_run_list_properties(const ty_run *run, char **out_json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_json, "out_json");
    require_handle(run, "run");
    *out_json = capi::CopyString(Json(run->driver->GetRun(run->id).properties).Dump());
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
    run->driver->UploadFile(run->id, capi::Utf8(name, "name"), path);
  });
}

ty_status ty_run_upload_folder(const ty_run *run, const char *name, const char *path, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(name, "name");
    require(path, "path");
    run->driver->UploadFolder(run->id, capi::Utf8(name, "name"), path);
  });
}

ty_status ty_run_get_all_logs(const ty_run *run, const char *destination, ty_string_list **out_paths,
                              ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_paths);
    require_handle(run, "run");
    require(destination, "destination");
    std::vector<std::string> paths = DownloadLogs(run->driver.get(), run->id, destination);
    if (out_paths != nullptr) *out_paths = capi::MakeStringList(std::move(paths));
  });
}

ty_status ty_run_register_model(const ty_run *run, const char *model_name, const char *path, const char *metadata_json,
                                ty_model **out_model, ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_model);
    require_handle(run, "run");
    require(model_name, "model_name");
    ModelRequest wanted = ModelRequestFromJson(capi::OptionalString(metadata_json));
    wanted.model.name = model_name;
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
