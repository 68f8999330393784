#include "trainyard/error.h"

#include <memory>

#include "capi/guard.h"
#include "util/text.h"

namespace trainyard::capi {
namespace {

// Reporting that memory is short must not need memory.
ty_error out_of_memory{Status::kOutOfMemory, "out of memory", {}};

ty_status Fail(ty_error **err, Status status, const char *message, const Error::Details &details = {}) noexcept {
  if (err == nullptr) return static_cast<ty_status>(status);
  try {
    auto error = std::make_unique<ty_error>(ty_error{status, PrintableLine(message, kMaxMessage), details});
    for (auto &[key, value] : error->details) value = SanitizeUtf8(value);
    *err = error.release();
  } catch (...) {
    *err = &out_of_memory;
  }
  return static_cast<ty_status>(status);
}

struct StatusName {
  Status status;
  ty_status number;
  const char *name;
};

constexpr StatusName kNames[] = {
    {Status::kOk, TY_OK, "TY_OK"},
    {Status::kInvalidArgument, TY_ERR_INVALID_ARGUMENT, "TY_ERR_INVALID_ARGUMENT"},
    {Status::kNotFound, TY_ERR_NOT_FOUND, "TY_ERR_NOT_FOUND"},
    {Status::kAlreadyExists, TY_ERR_ALREADY_EXISTS, "TY_ERR_ALREADY_EXISTS"},
    {Status::kInvalidState, TY_ERR_INVALID_STATE, "TY_ERR_INVALID_STATE"},
    {Status::kIo, TY_ERR_IO, "TY_ERR_IO"},
    {Status::kNoSpace, TY_ERR_NO_SPACE, "TY_ERR_NO_SPACE"},
    {Status::kPermission, TY_ERR_PERMISSION, "TY_ERR_PERMISSION"},
    {Status::kCorrupt, TY_ERR_CORRUPT, "TY_ERR_CORRUPT"},
    {Status::kUnsupported, TY_ERR_UNSUPPORTED, "TY_ERR_UNSUPPORTED"},
    {Status::kVersion, TY_ERR_VERSION, "TY_ERR_VERSION"},
    {Status::kBusy, TY_ERR_BUSY, "TY_ERR_BUSY"},
    {Status::kTimeout, TY_ERR_TIMEOUT, "TY_ERR_TIMEOUT"},
    {Status::kCanceled, TY_ERR_CANCELED, "TY_ERR_CANCELED"},
    {Status::kNetwork, TY_ERR_NETWORK, "TY_ERR_NETWORK"},
    {Status::kEngine, TY_ERR_ENGINE, "TY_ERR_ENGINE"},
    {Status::kRuntime, TY_ERR_RUNTIME, "TY_ERR_RUNTIME"},
    {Status::kOutOfMemory, TY_ERR_OUT_OF_MEMORY, "TY_ERR_OUT_OF_MEMORY"},
    {Status::kForked, TY_ERR_FORKED, "TY_ERR_FORKED"},
    {Status::kInternal, TY_ERR_INTERNAL, "TY_ERR_INTERNAL"},
    {Status::kRunFailed, TY_ERR_RUN_FAILED, "TY_ERR_RUN_FAILED"},
};

constexpr bool NumbersAgree() {
  for (const StatusName &row : kNames) {
    if (static_cast<ty_status>(row.status) != row.number) return false;
  }
  return true;
}
static_assert(NumbersAgree(), "util/error.h and trainyard/error.h differ");

}  // namespace

ty_status CurrentExceptionToStatus(ty_error **err) noexcept {
  try {
    throw;
  } catch (const Error &error) {
    return Fail(err, error.status(), error.what(), error.details());
  } catch (const std::bad_alloc &) {
    if (err != nullptr) *err = &out_of_memory;
    return TY_ERR_OUT_OF_MEMORY;
  } catch (const std::exception &error) {
    return Fail(err, Status::kInternal, error.what());
  } catch (...) {
    return Fail(err, Status::kInternal, "unknown exception");
  }
}

}  // namespace trainyard::capi

using trainyard::capi::kNames;

extern "C" {

ty_status ty_error_status(const ty_error *error) noexcept {
  return error == nullptr ? TY_OK : static_cast<ty_status>(error->status);
}

const char *ty_error_message(const ty_error *error) noexcept {
  return error == nullptr ? "" : error->message.c_str();
}

const char *ty_error_detail(const ty_error *error, const char *key) noexcept {
  if (error == nullptr || key == nullptr) return nullptr;
  return trainyard::capi::quiet<const char *>(nullptr, [&]() -> const char * {
    const auto place = error->details.find(key);
    return place == error->details.end() ? nullptr : place->second.c_str();
  });
}

void ty_error_free(ty_error *error) noexcept {
  if (error != &trainyard::capi::out_of_memory) std::unique_ptr<ty_error>{error};
}

const char *ty_status_name(ty_status status) noexcept {
  if (status == TY_END) return "TY_END";
  for (const auto &row : kNames) {
    if (row.number == status) return row.name;
  }
  return "unknown status";
}

}  // extern "C"
