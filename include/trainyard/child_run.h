/*
 * trainyard/child_run.h: runs inside a run, to any depth. A child's record names its parent and its root, the run at
 * the top (a run without a parent is its own root); both are fixed when it is made. Cancelling a run cancels all its
 * descendants; failing or completing it leaves them to themselves. Deleting it deletes them, see ty_run_delete. From
 * inside a rank these calls open the workspace's database.
 *
 * Threads: all calls on one run may run concurrently.
 */
#ifndef TRAINYARD_CHILD_RUN_H_
#define TRAINYARD_CHILD_RUN_H_

#include <trainyard/common.h>
#include <trainyard/error.h>
#include <trainyard/job.h>
#include <trainyard/run.h>

TY_EXTERN_C_BEGIN

/**
 * Submit a job as a child of a run, in the parent's experiment. The child waits in line for slots of its own: a rank
 * that waits for a child holds its slot meanwhile. Without this call a run that is submitted by a rank is a run of its
 * own.
 *
 * @param parent   the run that gets a child
 * @param job      what to run; a parent set with ty_job_set_parent must be the same
 * @param out_run  [out] free with ty_run_free
 * @param err      [out, optional]
 * @return see ty_run_submit; TY_ERR_INVALID_STATE (the parent was canceled)
 * @since 0.1
 */
TY_API ty_status ty_run_submit_child(const ty_run *parent, const ty_job *job, ty_run **out_run,
                                     ty_error **err) TY_NOEXCEPT;

/**
 * Start a child of a run, executed by this process, in the parent's experiment (trainyard/host_run.h).
 *
 * @param parent        the run that gets a child
 * @param options_json  see ty_run_start, without "parent"
 * @param out_run       [out] free with ty_run_free
 * @param err           [out, optional]
 * @return see ty_run_start
 * @since 0.1
 */
TY_API ty_status ty_run_start_child(const ty_run *parent, const char *options_json, ty_run **out_run,
                                    ty_error **err) TY_NOEXCEPT;

/**
 * The children of a run, newest first.
 *
 * @param run          the parent
 * @param recursive    not 0: their children too, and so on
 * @param filter_json  NULL for all; see ty_workspace_list_runs, without "parent", "ancestor" and "include_children"
 * @param out_ids      [out] free with ty_string_list_free
 * @param err          [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_list_children(const ty_run *run, int32_t recursive, const char *filter_json,
                                      ty_string_list **out_ids, ty_error **err) TY_NOEXCEPT;

/**
 * As ty_run_list_children, with the whole records.
 *
 * @param run          the parent
 * @param recursive    not 0: their children too, and so on
 * @param filter_json  NULL for all
 * @param out_json     [out] an array of the objects that ty_run_to_json gives, without "job"; free with ty_string_free
 * @param err          [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_list_children_json(const ty_run *run, int32_t recursive, const char *filter_json,
                                           char **out_json, ty_error **err) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_CHILD_RUN_H_ */
