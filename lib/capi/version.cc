#include "trainyard/version.h"

#include "capi/handles.h"
#include "engine/runtime.h"

using trainyard::capi::guard;

extern "C" {

const char *ty_version(void) noexcept {
  return TY_VERSION;
}

int32_t ty_abi_version(void) noexcept {
  return TY_ABI_VERSION;
}

ty_status ty_runtime_set_directory(const char *directory, ty_error **err) noexcept {
  return guard(err, [&] { trainyard::SetRuntimeDirectory(trainyard::capi::OptionalString(directory)); });
}

ty_status ty_runtime_directory(char **out_directory, ty_error **err) noexcept {
  return guard(err, [&] {
    trainyard::capi::require_out(out_directory, "out_directory");
    *out_directory = trainyard::capi::CopyString(trainyard::RuntimeDirectory());
  });
}

}  // extern "C"
