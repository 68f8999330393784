/*
 * trainyard/run.h: one execution of a job, as a future: submit, look, wait, cancel, read what it left. A run
 * outlives the program that submitted it; ty_run_get attaches again by id. Not when that program is PID 1 of a
 * container, a service whose control group is killed, or a Slurm step: start it under `systemd-run --scope` there.
 *
 * Threads: all calls on one run may run concurrently.
 */
#ifndef TRAINYARD_RUN_H_
#define TRAINYARD_RUN_H_

#include <trainyard/common.h>
#include <trainyard/error.h>
#include <trainyard/job.h>
#include <trainyard/model.h>
#include <trainyard/workspace.h>

TY_EXTERN_C_BEGIN

typedef struct ty_run ty_run;

/** A run's state: one of TY_RUN_... */
typedef int32_t ty_run_state;

enum {
  /** The record exists, nothing else does. */
  TY_RUN_NOT_STARTED = 0,
  /** Submitted; its supervisor is being started. */
  TY_RUN_STARTING = 1,
  /** A compute is being made. */
  TY_RUN_PROVISIONING = 2,
  /** Environment, downloads and snapshot are put in place. */
  TY_RUN_PREPARING = 3,
  /** Waits for slots or nodes. */
  TY_RUN_QUEUED = 4,
  /** Its ranks run. */
  TY_RUN_RUNNING = 5,
  /** Outputs and metrics are collected. */
  TY_RUN_FINALIZING = 6,
  /** Final: ended well. */
  TY_RUN_COMPLETED = 7,
  /** Final: ty_run_failure says why. */
  TY_RUN_FAILED = 8,
  /** Its processes are being ended. */
  TY_RUN_CANCEL_REQUESTED = 9,
  /** Final: none of its processes is left. */
  TY_RUN_CANCELED = 10,
  /** Its supervisor has not shown life for 30 s. The run may return to the state before. */
  TY_RUN_NOT_RESPONDING = 11,
  /** Held; it goes on later. */
  TY_RUN_PAUSED = 12
};

/** Wait without a time limit. */
#define TY_WAIT_FOREVER (-1)

/** As the rank of a log or metric: the supervisor's own. */
#define TY_RANK_RUNNER (-1)

/** Limits of tags and properties; a call that goes beyond one answers TY_ERR_INVALID_ARGUMENT and names it. */
enum { TY_MAX_TAGS = 100, TY_MAX_PROPERTIES = 100, TY_MAX_TAG_KEY_BYTES = 100, TY_MAX_TAG_VALUE_BYTES = 1000 };

/** As a rank: every rank of the run. */
#define TY_RANK_ALL (-2)

/** As the rank of a log: that of the making of the run's environment (ty_run_log_read). */
#define TY_RANK_ENVIRONMENT (-3)

/**
 * @param state  TY_RUN_...
 * @return "Running", ...; "Unknown" for an unknown number; static
 * @since 0.1
 */
TY_API const char *ty_run_state_name(ty_run_state state) TY_NOEXCEPT;

/**
 * @param state  TY_RUN_...
 * @return 1 for Completed, Failed and Canceled, else 0
 * @since 0.1
 */
TY_API int32_t ty_run_state_is_final(ty_run_state state) TY_NOEXCEPT;

/**
 * Submit a job. When the call returns TY_OK the run is recorded and synced to disk, and its supervisor process is on
 * its way.
 *
 * @param workspace   where
 * @param experiment  the group of runs; made when it is new. 1 to 250 of letters, digits, '-', '_', '.', starting with
 * a letter or digit
 * @param job         what to run; may be changed or freed after the call
 * @param out_run     [out] free with ty_run_free
 * @param err         [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND (source directory, program or data missing), TY_ERR_ALREADY_EXISTS (the run id is
 * another job's), TY_ERR_NO_SPACE, TY_ERR_PERMISSION, TY_ERR_IO, TY_ERR_RUNTIME (no runner)
 * @since 0.1
 */
TY_API ty_status ty_run_submit(ty_workspace *workspace, const char *experiment, const ty_job *job, ty_run **out_run,
                               ty_error **err) TY_NOEXCEPT;

/**
 * Attach to a run by id, from any process.
 *
 * @param workspace  where
 * @param run_id     the id
 * @param out_run    [out] free with ty_run_free
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_get(ty_workspace *workspace, const char *run_id, ty_run **out_run, ty_error **err) TY_NOEXCEPT;

/**
 * The run that this process is a rank of, found by the variables TRAINYARD_WORKSPACE and TRAINYARD_RUN_ID. Metrics
 * logged through it belong to the rank in the variable RANK.
 *
 * @param out_run  [out] free with ty_run_free
 * @param err      [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND (this process is not part of a run)
 * @since 0.1
 */
TY_API ty_status ty_run_current(ty_run **out_run, ty_error **err) TY_NOEXCEPT;

/** @param run  the run, or NULL. The run itself goes on. @since 0.1 */
TY_API void ty_run_free(ty_run *run) TY_NOEXCEPT;

/**
 * @param run  the run
 * @return its id, borrowed; NULL for NULL
 * @since 0.1
 */
TY_API const char *ty_run_id(const ty_run *run) TY_NOEXCEPT;

/**
 * @param run  the run
 * @return its experiment, borrowed; NULL for NULL
 * @since 0.1
 */
TY_API const char *ty_run_experiment(const ty_run *run) TY_NOEXCEPT;

/**
 * @param run        the run
 * @param out_state  [out] TY_RUN_...
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND (deleted meanwhile), TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_get_state(const ty_run *run, ty_run_state *out_state, ty_error **err) TY_NOEXCEPT;

/**
 * Wait until the run is in a final state or the time is over. A timeout is not an error: look at the state.
 *
 * @param run         the run
 * @param timeout_ms  0 only looks; TY_WAIT_FOREVER
 * @param out_state   [out, optional] the state when the call returned
 * @param err         [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_wait(const ty_run *run, int64_t timeout_ms, ty_run_state *out_state,
                             ty_error **err) TY_NOEXCEPT;

/**
 * As ty_run_wait_for_completion, with the log of a rank of your choice, or of all: then each line starts with the
 * number of its rank in brackets.
 *
 * @param run        the run
 * @param output_fd  where to write; -1 writes nothing and only waits
 * @param rank       0 to the number of ranks - 1, or TY_RANK_ALL
 * @param out_state  [out, optional] the final state
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_IO, TY_ERR_NOT_FOUND (no such rank, or deleted meanwhile)
 * @since 0.1
 */
TY_API ty_status ty_run_stream(const ty_run *run, int32_t output_fd, int32_t rank, ty_run_state *out_state,
                               ty_error **err) TY_NOEXCEPT;

/**
 * Write the run's progress for people to a file descriptor until the run is final: its id; a line for each stage that
 * lasts (Preparing, Queued, Running, Post-processing); the log of its environment's making when one is made; the log of
 * rank 0 as it grows; and an execution summary, with the run's warnings and, of a failed run, why, in words and then as
 * JSON.
 *
 * @param run        the run
 * @param output_fd  where to write; -1 writes nothing and only waits
 * @param out_state  [out, optional] the final state
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_IO, TY_ERR_NOT_FOUND
 * @since 0.1
 */
TY_API ty_status ty_run_wait_for_completion(const ty_run *run, int32_t output_fd, ty_run_state *out_state,
                                            ty_error **err) TY_NOEXCEPT;

/**
 * Ask that all processes of the run end (SIGTERM, after 5 s SIGKILL) and return at once. Ends as Canceled when none is
 * left. Asking again or asking a run that has ended does nothing. All descendants of the run are asked too, and it can
 * have no new children. A run that this process executes itself is Canceled when the call returns. A supervisor that
 * shows no life for 15 s meanwhile (it was stopped) is continued (SIGCONT), and after 15 s more killed, by any process
 * that looks at the run then.
 *
 * @param run  the run
 * @param err  [out, optional]
 * @return TY_OK, TY_ERR_IO, TY_ERR_NOT_FOUND
 * @since 0.1
 */
TY_API ty_status ty_run_cancel(const ty_run *run, ty_error **err) TY_NOEXCEPT;

/**
 * Ask the run to end well and return at once: a training job finishes its step, evaluates, keeps its best and
 * completes; a command gets SIGTERM and completes when it then exits with 0. A run whose ranks have not started yet is
 * canceled.
 *
 * @param run  the run
 * @param err  [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE (it has ended), TY_ERR_IO, TY_ERR_NOT_FOUND
 * @since 0.1
 */
TY_API ty_status ty_run_request_stop(const ty_run *run, ty_error **err) TY_NOEXCEPT;

/**
 * Why the run failed.
 *
 * @param run          the run
 * @param out_failure  [out] NULL when the run has not failed; else status TY_ERR_RUN_FAILED, a message, and details
 * "code" ("exit_code", "signal", "out_of_memory", "time_limit", "runner_died", "data", "weights", "nan_loss", ...),
 * "rank", "node", "exit_code", "signal", "stderr" (last lines) where known; free with ty_error_free
 * @param err          [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_failure(const ty_run *run, ty_error **out_failure, ty_error **err) TY_NOEXCEPT;

/**
 * The whole record.
 *
 * @param run       the run
 * @param out_json  [out] an object: id, experiment, display_name, kind, state, compute, parent, root, created_ms,
 * started_ms, ended_ms, rank_count, snapshot, tags, properties, warnings, error, job; times not yet known are null;
 * free with ty_string_free
 * @param err       [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_to_json(const ty_run *run, char **out_json, ty_error **err) TY_NOEXCEPT;

/**
 * Read what a rank has written to standard output and error, by byte offset. A log that a rank has put a link or a pipe
 * in the place of is as one that is not there.
 *
 * @param run       the run
 * @param rank      0 to rank count - 1; TY_RANK_RUNNER for the supervisor's own log, TY_RANK_ENVIRONMENT for that of
 *                  the making of its environment
 * @param offset    where to start, in bytes
 * @param buffer    receives up to `size` bytes; not NUL-terminated
 * @param size      bytes
 * @param out_read  [out] bytes read; 0: nothing there yet, or the end
 * @param err       [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND (no such rank), TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_log_read(const ty_run *run, int32_t rank, uint64_t offset, void *buffer, size_t size,
                                 size_t *out_read, ty_error **err) TY_NOEXCEPT;

/* ---- tags, properties, files: from inside a rank these open the workspace's database ---- */

/**
 * Set or change a tag.
 * @param run    the run
 * @param key    1 to 100 bytes
 * @param value  up to 1000 bytes; "": a tag without a value; NULL removes the tag. A run has at most 100 tags.
 * @param err    [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_set_tag(const ty_run *run, const char *key, const char *value, ty_error **err) TY_NOEXCEPT;

/**
 * Set or remove several tags, all or none.
 * @param run   the run
 * @param json  an object of strings; "" is a tag without a value, null removes the tag
 * @param err   [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_set_tags(const ty_run *run, const char *json, ty_error **err) TY_NOEXCEPT;

/**
 * Set a property. Properties never change.
 * @param run    the run
 * @param key    1 to 100 bytes
 * @param value  up to 1000 bytes
 * @param err    [out, optional]
 * @return TY_OK, TY_ERR_ALREADY_EXISTS (it has another value), TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_set_property(const ty_run *run, const char *key, const char *value, ty_error **err) TY_NOEXCEPT;

/**
 * Set several properties, all or none.
 * @param run   the run
 * @param json  an object of strings; a run has at most 100 properties
 * @param err   [out, optional]
 * @return TY_OK, TY_ERR_ALREADY_EXISTS (one of them has another value), TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_set_properties(const ty_run *run, const char *json, ty_error **err) TY_NOEXCEPT;

/**
 * @param run       the run
 * @param out_json  [out] an object of strings; free with ty_string_free
 * @param err       [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_list_tags(const ty_run *run, char **out_json, ty_error **err) TY_NOEXCEPT;

/**
 * @param run       the run
 * @param out_json  [out] an object of strings; free with ty_string_free
 * @param err       [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_list_properties(const ty_run *run, char **out_json, ty_error **err) TY_NOEXCEPT;

/**
 * @param run        the run
 * @param key        the tag
 * @param out_value  [out] free with ty_string_free
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_get_tag(const ty_run *run, const char *key, char **out_value, ty_error **err) TY_NOEXCEPT;

/**
 * @param run        the run
 * @param key        the property
 * @param out_value  [out] free with ty_string_free
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_get_property(const ty_run *run, const char *key, char **out_value, ty_error **err) TY_NOEXCEPT;

/**
 * The files of the run: "outputs/...", "logs/...", "user_logs/std_log.txt", "system_logs/runner.log", sorted. The same
 * names while it runs and after. Links to files are listed where they stay in the run. A file whose name is not valid
 * UTF-8 is left out, and the library's log says so.
 *
 * @param run        the run
 * @param prefix     only names that start with it; NULL for all
 * @param out_names  [out] free with ty_string_list_free
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_list_files(const ty_run *run, const char *prefix, ty_string_list **out_names,
                                   ty_error **err) TY_NOEXCEPT;

/**
 * Copy a file of the run to a path of yours. The file appears there whole or not at all.
 *
 * @param run          the run
 * @param name         as ty_run_list_files gives it
 * @param destination  a file path, or an existing directory
 * @param err          [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_NO_SPACE, TY_ERR_PERMISSION, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_download_file(const ty_run *run, const char *name, const char *destination,
                                      ty_error **err) TY_NOEXCEPT;

/**
 * Copy all files whose names start with a prefix into a directory, under their names.
 *
 * @param run        the run
 * @param prefix     such as "outputs/"; NULL for all
 * @param directory  made when it does not exist
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND (no such file), TY_ERR_NO_SPACE, TY_ERR_PERMISSION, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_download_files(const ty_run *run, const char *prefix, const char *directory,
                                       ty_error **err) TY_NOEXCEPT;

/**
 * Add a file to the run. One that is in its place already, because the run wrote it there, is fine.
 *
 * @param run   the run
 * @param name  "outputs/..." or "logs/..."; no ".." in it; nothing may be there, be it a link or a pipe
 * @param path  the file to copy
 * @param err   [out, optional]
 * @return TY_OK, TY_ERR_ALREADY_EXISTS, TY_ERR_NOT_FOUND, TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_upload_file(const ty_run *run, const char *name, const char *path, ty_error **err) TY_NOEXCEPT;

/**
 * Add all files of a folder to the run. Nothing is copied when one of them is there already. Links to files are
 * followed; those to directories and to nothing, pipes, sockets and devices are errors, and nothing is copied; empty
 * directories are not copied.
 *
 * @param run   the run
 * @param name  "outputs/..." or "logs/...": the folder in the run; no ".." in it
 * @param path  the folder to copy
 * @param err   [out, optional]; details: "path"
 * @return TY_OK, TY_ERR_ALREADY_EXISTS, TY_ERR_NOT_FOUND, TY_ERR_INVALID_ARGUMENT (such a link or pipe),
 *         TY_ERR_NO_SPACE, TY_ERR_PERMISSION, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_upload_folder(const ty_run *run, const char *name, const char *path,
                                      ty_error **err) TY_NOEXCEPT;

/**
 * Copy all logs of the run ("user_logs/...", "system_logs/...", "logs/...") into a directory, under their names.
 *
 * @param run          the run
 * @param destination  made when it does not exist
 * @param out_paths    [out, optional] where they are now; free with ty_string_list_free
 * @param err          [out, optional]
 * @return TY_OK, TY_ERR_NO_SPACE, TY_ERR_PERMISSION, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_get_all_logs(const ty_run *run, const char *destination, ty_string_list **out_paths,
                                     ty_error **err) TY_NOEXCEPT;

/**
 * Register a model from files of the run.
 *
 * @param run            the run; it may still be going on
 * @param model_name     1 to 250 of letters, digits, '-', '_', '.'
 * @param path           a file or directory of the run, such as "outputs" or "outputs/model.safetensors"; NULL:
 * "outputs". Of the whole "outputs" the directory "outputs/checkpoints", which a training job goes on from, is left
 * out.
 * @param metadata_json  NULL, or an object as for ty_model_register, and "include_checkpoints" (bool, default false):
 * takes "outputs/checkpoints" too
 * @param out_model      [out, optional] version = highest version ever of this name + 1; free with ty_model_free
 * @param err            [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_register_model(const ty_run *run, const char *model_name, const char *path,
                                       const char *metadata_json, ty_model **out_model, ty_error **err) TY_NOEXCEPT;

/**
 * Put the run's source directory, as it was at submit, into a directory.
 *
 * @param run        the run
 * @param directory  made when it does not exist; must be empty
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND (the run has no source directory), TY_ERR_ALREADY_EXISTS (not empty),
 * TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_restore_snapshot(const ty_run *run, const char *directory, ty_error **err) TY_NOEXCEPT;

/**
 * Delete an ended run with its logs, metrics and files, and with it its children, theirs, and so on: all of them or,
 * when one has not ended, none. Models registered from them stay.
 *
 * @param run  the run; the handle must still be freed
 * @param err  [out, optional] detail "run_id": the run that has not ended
 * @return TY_OK, TY_ERR_INVALID_STATE (it or one of its descendants has not ended), TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_delete(const ty_run *run, ty_error **err) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_RUN_H_ */
