/*
 * trainyard/log.h: the library's own messages. It prints nothing by itself.
 *
 * Threads: ty_log_set_callback may be called at any time; the callback may run on any thread, several at once.
 */
#ifndef TRAINYARD_LOG_H_
#define TRAINYARD_LOG_H_

#include <trainyard/common.h>
#include <trainyard/error.h>

TY_EXTERN_C_BEGIN

enum { TY_LOG_DEBUG = 0, TY_LOG_INFO = 1, TY_LOG_WARNING = 2, TY_LOG_ERROR = 3 };

/**
 * @param level      TY_LOG_...
 * @param message    one line without its end; borrowed for the call
 * @param user_data  as given to ty_log_set_callback
 */
typedef void (*ty_log_callback)(int32_t level, const char *message, void *user_data);

/**
 * Receive the library's messages.
 *
 * @param callback   the receiver; NULL for none. It must not call ty_log_set_callback.
 * @param user_data  passed to the callback
 * @param destroy    called with user_data when the callback is replaced and no longer runs; may be NULL
 * @param min_level  messages below this level are dropped
 * @param err        [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_log_set_callback(ty_log_callback callback, void *user_data, ty_destroy destroy, int32_t min_level,
                                     ty_error **err) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_LOG_H_ */
