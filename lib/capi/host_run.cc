#include "trainyard/host_run.h"

#include "capi/handles.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
using trainyard::capi::require_handle;
using trainyard::capi::require_out;

namespace {

RunError DeclaredError(const char *code, const char *message) {
  RunError error;
  error.code = code == nullptr ? "failed" : capi::Utf8(code, "code");
  constexpr size_t kLongestCode = 100;
  if (error.code.empty() || error.code.size() > kLongestCode) {
    throw Error::InvalidArgument("code must be one word of 1 to 100 bytes, or NULL");
  }
  error.message = message == nullptr ? "the program said that the run failed" : capi::Utf8(message, "message");
  return error;
}

}  // namespace

extern "C" {

ty_status ty_run_start(ty_workspace *workspace, const char *experiment, const char *options_json, ty_run **out_run,
                       ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_run, "out_run");
    require_handle(workspace, "workspace");
    require(experiment, "experiment");
    const RunRecord record =
        workspace->driver->StartRun(experiment, HostRunOptionsFromJson(capi::OptionalString(options_json)));
    *out_run = capi::MakeRun(workspace->driver, record.id, record.experiment);
  });
}

ty_status ty_run_complete(const ty_run *run, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    run->driver->EndRun(run->id, RunState::kCompleted, {});
  });
}

ty_status ty_run_fail(const ty_run *run, const char *code, const char *message, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    const RunError error = DeclaredError(code, message);
    run->driver->EndRun(run->id, RunState::kFailed, error);
  });
}

}  // extern "C"
