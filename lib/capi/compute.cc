#include "trainyard/compute.h"

#include "capi/handles.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
using trainyard::capi::require_handle;
using trainyard::capi::require_out;

namespace {

ty_compute *MakeCompute(std::shared_ptr<Driver> driver, std::string name) {
  auto compute = std::make_unique<ty_compute>();
  compute->driver = std::move(driver);
  compute->name = std::move(name);
  return compute.release();
}

}  // namespace

extern "C" {

ty_status ty_compute_get(ty_workspace *workspace, const char *name, ty_compute **out_compute, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_compute, "out_compute");
    require_handle(workspace, "workspace");
    require(name, "name");
    *out_compute = MakeCompute(workspace->driver, workspace->driver->GetCompute(name).name);
  });
}

ty_status ty_compute_create(ty_workspace *workspace, const char *name, const char *settings_json,
                            ty_compute **out_compute, ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_compute);
    require_handle(workspace, "workspace");
    require(name, "name");
    const Json settings = settings_json == nullptr ? Json::Object() : Json::Parse(settings_json, "settings");
    const Compute compute = workspace->driver->CreateCompute(Compute::FromJson(name, settings));
    if (out_compute != nullptr) *out_compute = MakeCompute(workspace->driver, compute.name);
  });
}

ty_status ty_compute_list(const ty_workspace *workspace, ty_string_list **out_names, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_names, "out_names");
    require_handle(workspace, "workspace");
    *out_names = capi::MakeStringList(workspace->driver->ListComputes());
  });
}

const char *ty_compute_name(const ty_compute *compute) noexcept {
  return compute == nullptr ? nullptr : compute->name.c_str();
}

ty_status ty_compute_status(const ty_compute *compute, char **out_json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_json, "out_json");
    require_handle(compute, "compute");
    *out_json = capi::CopyString(compute->driver->ComputeStatus(compute->name));
  });
}

ty_status ty_compute_wait(const ty_compute *compute, int32_t min_nodes, int64_t timeout_ms, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(compute, "compute");
    if (min_nodes < 0) throw Error::InvalidArgument("min_nodes must not be negative, got " + std::to_string(min_nodes));
    if (timeout_ms < TY_WAIT_FOREVER) {
      throw Error::InvalidArgument("timeout_ms must be 0 or more, or TY_WAIT_FOREVER, got " +
                                   std::to_string(timeout_ms));
    }
    compute->driver->WaitCompute(compute->name, min_nodes, timeout_ms);
  });
}

ty_status ty_compute_delete(const ty_compute *compute, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(compute, "compute");
    compute->driver->DeleteCompute(compute->name);
  });
}

void ty_compute_free(ty_compute *compute) noexcept {
  std::unique_ptr<ty_compute>{compute};
}

}  // extern "C"
