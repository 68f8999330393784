/*
 * trainyard/error.h: statuses and errors.
 *
 * Threads: an error is immutable; any thread may read it.
 */
#ifndef TRAINYARD_ERROR_H_
#define TRAINYARD_ERROR_H_

#include <trainyard/common.h>

TY_EXTERN_C_BEGIN

enum {
  /** The call did what it says. */
  TY_OK = 0,
  /** Not an error: there is nothing more (event streams, lists). */
  TY_END = -1,
  /** An argument or setting is wrong; the message names it. Correct the call. */
  TY_ERR_INVALID_ARGUMENT = 1,
  /** What was named does not exist. */
  TY_ERR_NOT_FOUND = 2,
  /** Something else has this name or id already. */
  TY_ERR_ALREADY_EXISTS = 3,
  /** The object is in a state that does not allow this, such as logging to a run that has ended. */
  TY_ERR_INVALID_STATE = 4,
  /** Reading or writing failed; details: path. */
  TY_ERR_IO = 5,
  /** The disk or quota is full; what was acknowledged before is safe. */
  TY_ERR_NO_SPACE = 6,
  /** Access was refused, or the file system is read-only. */
  TY_ERR_PERMISSION = 7,
  /** A file is damaged or is not what it should be; the message says where. */
  TY_ERR_CORRUPT = 8,
  /** The library does not do this (with this input). */
  TY_ERR_UNSUPPORTED = 9,
  /** The workspace, library, runner or engine is of another version; the message names both. */
  TY_ERR_VERSION = 10,
  /** Someone else has it in use; try again. */
  TY_ERR_BUSY = 11,
  /** A service or process did not answer in time. */
  TY_ERR_TIMEOUT = 12,
  /** The operation was cancelled. */
  TY_ERR_CANCELED = 13,
  /** A network transfer failed. */
  TY_ERR_NETWORK = 14,
  /** The engine or LibTorch could not be loaded, or failed; the message lists what was tried. */
  TY_ERR_ENGINE = 15,
  /** The runtime directory or the runner was not found or does not match; the message lists every path tried. */
  TY_ERR_RUNTIME = 16,
  /** Memory is short. */
  TY_ERR_OUT_OF_MEMORY = 17,
  /** The handle was made before fork() and is used in the child. */
  TY_ERR_FORKED = 18,
  /** A bug of the library. Please report it with the message. */
  TY_ERR_INTERNAL = 19,
  /** A run ended as Failed; see ty_run_failure. */
  TY_ERR_RUN_FAILED = 20
};

/** A failure: a status, one line that says what to do, and details. */
typedef struct ty_error ty_error;

/**
 * @param error  the error, or NULL
 * @return its status; TY_OK for NULL
 * @since 0.1
 */
TY_API ty_status ty_error_status(const ty_error *error) TY_NOEXCEPT;

/**
 * @param error  the error, or NULL
 * @return one line: what failed, where, and what to do next; at most 4096 bytes, of a longer one the middle is left
 * out; control characters in it are written as \n, \x1b; borrowed; "" for NULL
 * @since 0.1
 */
TY_API const char *ty_error_message(const ty_error *error) TY_NOEXCEPT;

/**
 * One detail of the error: "path", "run_id", "key", "http_status", "service_code", ...
 * @param error  the error, or NULL
 * @param key    which detail
 * @return its value, borrowed; NULL when the error has none of that name
 * @since 0.1
 */
TY_API const char *ty_error_detail(const ty_error *error, const char *key) TY_NOEXCEPT;

/**
 * @param error  the error, or NULL
 * @since 0.1
 */
TY_API void ty_error_free(ty_error *error) TY_NOEXCEPT;

/**
 * @param status  any status
 * @return its name, "TY_ERR_NOT_FOUND"; "unknown status" for an unknown number; static
 * @since 0.1
 */
TY_API const char *ty_status_name(ty_status status) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_ERROR_H_ */
