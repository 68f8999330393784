/*
 * trainyard/common.h: what every other header needs. C99 and C++.
 *
 * Conventions of the whole API
 *
 *  1. Handles (ty_run *, ty_job *, ...) are opaque and distinct. Each is freed once by its own ty_<noun>_free, which
 *     takes NULL and does nothing then, after all other calls on it have returned. Handles may be freed in any
 *     order: children keep what they need of their parents alive. Freeing a handle never cancels or deletes what it
 *     stands for.
 *  2. A call that can fail returns a ty_status (TY_OK == 0) and takes a trailing `ty_error **err`, which may be
 *     NULL. When it is not, it is set to NULL on success and to an error to be freed by ty_error_free on failure.
 *     Outputs are set to NULL or 0 on failure. A NULL where a pointer is required, a negative size or an unknown
 *     constant is TY_ERR_INVALID_ARGUMENT; a workspace, run, stream, model or predictor used in a forked child is
 *     TY_ERR_FORKED; memory shortage is TY_ERR_OUT_OF_MEMORY; a bug of the library is TY_ERR_INTERNAL. These four
 *     can come from every such call, and the comments of the functions list only the others.
 *  3. Arguments stand in this order: the object, inputs, outputs (`out_...`), `err`.
 *  4. `const char *` results are borrowed: they live until the handle they came from is freed or changed. `char *`
 *     results are owned by the caller and freed by ty_string_free (a binding must not let its marshaller free a
 *     borrowed one). Arrays and strings that are passed in are copied before the call returns.
 *  5. Strings are UTF-8 and end in NUL. Times are Unix milliseconds, durations milliseconds, sizes bytes.
 *  6. Callbacks come as (callback, user_data, destroy): `destroy(user_data)` is called exactly once, also when the
 *     call that takes them fails. No lock is held during a callback. A callback must not throw, and must not unwind
 *     through the library.
 *  7. Threads: calls that take `const T *` may run concurrently on one handle, others need it for themselves.
 *     Exceptions stand at the top of a header. Any handle may move between threads. No call may be made in a signal
 *     handler but ty_trainer_request_stop.
 *  8. The library raises no exception, never ends the process, installs no signal handler, and leaves the host's
 *     children, environment, threads and locale alone. A forked child must exec before it uses the library again.
 *  9. Nothing is promised stable before 1.0; from 1.0 on the ABI only grows.
 */
#ifndef TRAINYARD_COMMON_H_
#define TRAINYARD_COMMON_H_

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define TY_API __attribute__((visibility("default")))
#else
#define TY_API
#endif

#ifdef __cplusplus
#define TY_EXTERN_C_BEGIN extern "C" {
#define TY_EXTERN_C_END }
#define TY_NOEXCEPT noexcept
#else
#define TY_EXTERN_C_BEGIN
#define TY_EXTERN_C_END
#define TY_NOEXCEPT
#endif

TY_EXTERN_C_BEGIN

/** The result of a call: TY_OK, TY_END, or one of TY_ERR_... (trainyard/error.h). */
typedef int32_t ty_status;

/** Releases `user_data` of a callback. */
typedef void (*ty_destroy)(void *user_data);

/** A list of strings, owned by the caller. */
typedef struct ty_string_list ty_string_list;

/**
 * Free a string that the library gave as `char *`.
 * @param string  the string, or NULL
 * @since 0.1
 */
TY_API void ty_string_free(char *string) TY_NOEXCEPT;

/**
 * @param list  the list, or NULL (counts as empty)
 * @return the number of strings
 * @since 0.1
 */
TY_API size_t ty_string_list_size(const ty_string_list *list) TY_NOEXCEPT;

/**
 * @param list   the list, or NULL
 * @param index  0 to size - 1
 * @return the string, borrowed from the list; NULL when there is none
 * @since 0.1
 */
TY_API const char *ty_string_list_get(const ty_string_list *list, size_t index) TY_NOEXCEPT;

/**
 * @param list  the list, or NULL
 * @since 0.1
 */
TY_API void ty_string_list_free(ty_string_list *list) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_COMMON_H_ */
