#include "trainyard/log.h"

#include "capi/handles.h"
#include "util/log.h"

using namespace trainyard;

static_assert(static_cast<int32_t>(LogLevel::kDebug) == TY_LOG_DEBUG &&
              static_cast<int32_t>(LogLevel::kInfo) == TY_LOG_INFO &&
              static_cast<int32_t>(LogLevel::kWarning) == TY_LOG_WARNING &&
              static_cast<int32_t>(LogLevel::kError) == TY_LOG_ERROR);

extern "C" {

ty_status ty_log_set_callback(ty_log_callback callback, void *user_data, ty_destroy destroy, int32_t min_level,
                              ty_error **err) noexcept {
  return capi::guard(err, [&] {
    const std::shared_ptr<void> owned = capi::OwnUserData(user_data, destroy);
    if (min_level < TY_LOG_DEBUG || min_level > TY_LOG_ERROR) {
      throw Error::InvalidArgument("min_level must be TY_LOG_DEBUG to TY_LOG_ERROR, got " + std::to_string(min_level));
    }
    LogSink sink;
    if (callback != nullptr) {
      sink = [callback, owned](LogLevel level, const std::string &message) {
        callback(static_cast<int32_t>(level), message.c_str(), owned.get());
      };
    }
    SetLogSink(std::move(sink), static_cast<LogLevel>(min_level));
  });
}

}  // extern "C"
