/*
 * trainyard/host_run.h: runs that a program executes itself, without a supervisor: start, log, complete or
 * fail.
 *
 * A run that was started here is Running until this process ends it. When the process ends without having done so, the
 * run becomes Failed (code "host_died") as soon as anybody looks at it. Freeing the handle ends nothing: ty_run_get
 * gives another one, through which this process can log and end the run as well.
 *
 * Such a run takes no slot. Another process may ask it to end (ty_run_cancel): its state is then
 * TY_RUN_CANCEL_REQUESTED until this process answers with ty_run_cancel, which makes it Canceled at once, or ends it
 * otherwise.
 *
 * Threads: all calls on one run may run concurrently.
 */
#ifndef TRAINYARD_HOST_RUN_H_
#define TRAINYARD_HOST_RUN_H_

#include <trainyard/common.h>
#include <trainyard/error.h>
#include <trainyard/run.h>
#include <trainyard/workspace.h>

TY_EXTERN_C_BEGIN

/**
 * Start a run that this process executes. When the call returns TY_OK the run is recorded, synced to disk, and Running.
 *
 * @param workspace     where
 * @param experiment    the group of runs; made when it is new. 1 to 250 of letters, digits, '-', '_', '.'
 * @param options_json  NULL, or an object with any of: "run_id", "display_name", "parent" (run id), "source_directory"
 * (kept as the run's snapshot), "tags" {}, "properties" {}
 * @param out_run       [out] free with ty_run_free
 * @param err           [out, optional]
 * @return TY_OK, TY_ERR_ALREADY_EXISTS (the run id is taken), TY_ERR_NOT_FOUND (no such parent or source directory),
 * TY_ERR_INVALID_STATE (the parent was canceled), TY_ERR_NO_SPACE, TY_ERR_PERMISSION, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_start(ty_workspace *workspace, const char *experiment, const char *options_json,
                              ty_run **out_run, ty_error **err) TY_NOEXCEPT;

/**
 * End a run well. Its metrics are collected before the call returns, and what is logged later is refused. On a run that
 * is Completed already it does nothing. A rank may call it on its own run (ty_run_current): nothing happens then, the
 * run completes when its ranks end.
 *
 * @param run  a run that this process executes, or is a rank of
 * @param err  [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE (it ended as Failed or Canceled, or somebody else executes it), TY_ERR_NO_SPACE,
 * TY_ERR_IO, TY_ERR_NOT_FOUND
 * @since 0.1
 */
TY_API ty_status ty_run_complete(const ty_run *run, ty_error **err) TY_NOEXCEPT;

/**
 * End a run as Failed. A rank may call it on its own run: the run is then Failed with this reason when its ranks have
 * ended, also when they exit with 0.
 *
 * @param run      a run that this process executes, or is a rank of
 * @param code     one word for programs, at most 100 bytes; NULL: "failed"
 * @param message  one line for people; NULL: "the program said that the run failed"
 * @param err      [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE (it ended as Completed or Canceled, or somebody else executes it),
 * TY_ERR_NO_SPACE, TY_ERR_IO, TY_ERR_NOT_FOUND
 * @since 0.1
 */
TY_API ty_status ty_run_fail(const ty_run *run, const char *code, const char *message, ty_error **err) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_HOST_RUN_H_ */
