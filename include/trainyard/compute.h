/*
 * trainyard/compute.h: where jobs run. "local" is this machine, always there. Others are made by name in a workspace:
 * of kind local with slots and simulated nodes of their own on this machine, of kind mpi with the hosts of a hostfile.
 * Nothing stands for a compute but its record: nodes above the smallest number come when runs need them, and go when
 * nobody has used them for the idle time.
 *
 * Threads: all calls on one compute may run concurrently.
 */
#ifndef TRAINYARD_COMPUTE_H_
#define TRAINYARD_COMPUTE_H_

#include <trainyard/common.h>
#include <trainyard/error.h>
#include <trainyard/workspace.h>

TY_EXTERN_C_BEGIN

typedef struct ty_compute ty_compute;

/**
 * @param workspace    where
 * @param name         "local", or a name given to ty_compute_create
 * @param out_compute  [out] free with ty_compute_free
 * @param err          [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND (the message names the nearest), TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_compute_get(ty_workspace *workspace, const char *name, ty_compute **out_compute,
                                ty_error **err) TY_NOEXCEPT;

/**
 * Get a compute, or make it when there is none of that name.
 *
 * @param workspace      where
 * @param name           1 to 32 of letters, digits and '-', starting with a letter
 * @param settings_json  NULL for all defaults, or an object with any of: "kind" ("local" or "mpi", default local),
 * "size" (a name for people), "slots" (of each node: processes, or CPUs asked for, at a time; default 1;
 * a run that wants more of a node takes all that it has), "gpus" (of
 * each node, default 0; those of this machine are shared out to the nodes), "min_nodes" (default 0), "max_nodes"
 * (default 1, at most 128; slots and GPUs on all nodes are at most 100000, and at most the hard limit of open files
 * less 128), "idle_ms" (default 30 min), "low_priority" (bool, default false: its runs are preemptible, see
 * ty_job_set_preemptible), and for kind mpi "hostfile" (a path; its hosts are the nodes) and "mpirun_options" (array).
 * An unknown key is an error that names the nearest.
 * @param out_compute    [out, optional] free with ty_compute_free
 * @param err            [out, optional]
 * @return TY_OK, TY_ERR_ALREADY_EXISTS (with other settings; the message names the first), TY_ERR_INVALID_ARGUMENT
 * (more GPUs than the machine has, more slots than there can be files open, a hostfile that cannot be understood),
 * TY_ERR_NOT_FOUND (no hostfile), TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_compute_create(ty_workspace *workspace, const char *name, const char *settings_json,
                                   ty_compute **out_compute, ty_error **err) TY_NOEXCEPT;

/**
 * The names of all computes, "local" among them, sorted.
 * @param workspace  where
 * @param out_names  [out] free with ty_string_list_free
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_compute_list(const ty_workspace *workspace, ty_string_list **out_names, ty_error **err) TY_NOEXCEPT;

/** @param compute  the compute @return its name, borrowed; NULL for NULL @since 0.1 */
TY_API const char *ty_compute_name(const ty_compute *compute) TY_NOEXCEPT;

/**
 * How it is now: {"name", "state": "Ready" or "Idle" (no node is there), "nodes": {"current", "busy", "idle",
 * "minimum", "maximum"}, "settings": {...}}.
 * @param compute   the compute
 * @param out_json  [out] free with ty_string_free
 * @param err       [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND (deleted meanwhile), TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_compute_status(const ty_compute *compute, char **out_json, ty_error **err) TY_NOEXCEPT;

/**
 * Wait until so many nodes are there.
 * @param compute     the compute
 * @param min_nodes   0 or more
 * @param timeout_ms  0 only looks; TY_WAIT_FOREVER (-1)
 * @param err         [out, optional]
 * @return TY_OK, TY_ERR_TIMEOUT (the message names the nodes wanted and those that are there), TY_ERR_INVALID_ARGUMENT
 * (more than it can ever have), TY_ERR_NOT_FOUND (deleted meanwhile), TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_compute_wait(const ty_compute *compute, int32_t min_nodes, int64_t timeout_ms,
                                 ty_error **err) TY_NOEXCEPT;

/**
 * Delete the compute. Runs that have ended keep its name.
 * @param compute  the compute; the handle must still be freed
 * @param err      [out, optional]
 * @return TY_OK, TY_ERR_BUSY (runs of it have not ended), TY_ERR_INVALID_STATE ("local"), TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_compute_delete(const ty_compute *compute, ty_error **err) TY_NOEXCEPT;

/** @param compute  the compute, or NULL @since 0.1 */
TY_API void ty_compute_free(ty_compute *compute) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_COMPUTE_H_ */
