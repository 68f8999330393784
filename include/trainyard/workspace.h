/*
 * trainyard/workspace.h: where everything is kept. The root handle.
 *
 * Threads: all calls on one workspace may run concurrently.
 */
#ifndef TRAINYARD_WORKSPACE_H_
#define TRAINYARD_WORKSPACE_H_

#include <trainyard/common.h>
#include <trainyard/error.h>

TY_EXTERN_C_BEGIN

typedef struct ty_workspace ty_workspace;

/**
 * Open a workspace; a local one is made when it does not exist. A workspace belongs to one user (mode 0700). On a
 * network file system one host machine at a time can have it open.
 *
 * @param location  a directory, relative or absolute
 * @param out_workspace  [out] free with ty_workspace_free
 * @param err       [out, optional]
 * @return TY_OK, TY_ERR_PERMISSION, TY_ERR_NO_SPACE, TY_ERR_IO, TY_ERR_VERSION (made by a newer release),
 * TY_ERR_CORRUPT, TY_ERR_BUSY (another host has it open), TY_ERR_UNSUPPORTED (not a location this release can open)
 * @since 0.1
 */
TY_API ty_status ty_workspace_open(const char *location, ty_workspace **out_workspace, ty_error **err) TY_NOEXCEPT;

/** @param workspace  the workspace, or NULL. Runs go on. @since 0.1 */
TY_API void ty_workspace_free(ty_workspace *workspace) TY_NOEXCEPT;

/**
 * @param workspace  the workspace
 * @return its absolute location, borrowed; NULL for NULL
 * @since 0.1
 */
TY_API const char *ty_workspace_location(const ty_workspace *workspace) TY_NOEXCEPT;

/**
 * The ids of runs, newest first, a page at a time.
 *
 * @param workspace    the workspace
 * @param filter_json  NULL for all, or an object with any of: "experiment" (string), "states" (array of names,
 * "Running"), "kinds" (array of "command", "train", "script", "host"), "tag" and "property" (an object: each key with
 * this value, or with any value where it is null; or a string: the key alone), "parent" (run id: its children),
 * "ancestor" (run id: its children, their children, and so on), "include_children" (bool, default false: only runs
 * without a parent, unless "parent" or "ancestor" is given), "created_from_ms", "created_to_ms"
 * @param page_size    1 to 10000
 * @param page_token   NULL for the first page, else the token of the page before
 * @param out_ids      [out] free with ty_string_list_free
 * @param out_next     [out, optional] token of the next page, NULL when this was the last; free with ty_string_free
 * @param err          [out, optional]
 * @return TY_OK, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_workspace_list_runs(const ty_workspace *workspace, const char *filter_json, int32_t page_size,
                                        const char *page_token, ty_string_list **out_ids, char **out_next,
                                        ty_error **err) TY_NOEXCEPT;

/**
 * As ty_workspace_list_runs, with the whole records: a JSON array of the objects that ty_run_to_json gives.
 *
 * @param workspace    the workspace
 * @param filter_json  see ty_workspace_list_runs
 * @param page_size    1 to 10000
 * @param page_token   NULL for the first page
 * @param out_json     [out] free with ty_string_free
 * @param out_next     [out, optional] token of the next page, NULL when this was the last; free with ty_string_free
 * @param err          [out, optional]
 * @return TY_OK, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_workspace_list_runs_json(const ty_workspace *workspace, const char *filter_json, int32_t page_size,
                                             const char *page_token, char **out_json, char **out_next,
                                             ty_error **err) TY_NOEXCEPT;

/**
 * The names of all experiments, sorted.
 *
 * @param workspace  the workspace
 * @param out_names  [out] free with ty_string_list_free
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_workspace_list_experiments(const ty_workspace *workspace, ty_string_list **out_names,
                                               ty_error **err) TY_NOEXCEPT;

/**
 * The names of all registered models, sorted.
 *
 * @param workspace  the workspace
 * @param out_names  [out] free with ty_string_list_free
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_workspace_list_models(const ty_workspace *workspace, ty_string_list **out_names,
                                          ty_error **err) TY_NOEXCEPT;

/**
 * The registered models, by name, versions newest first, a page at a time.
 *
 * @param workspace    the workspace
 * @param filter_json  NULL for every version, or an object with any of: "name", "run" (id of the run it was registered
 * from), "framework", "tag" and "property" (an object: each key with this value, or with any value where it is null; or
 * a string: the key alone), "latest" (bool: of each name only the highest version)
 * @param page_size    1 to 10000
 * @param page_token   NULL for the first page, else the token of the page before
 * @param out_json     [out] an array of the objects that ty_model_to_json gives, without "files"; free with
 * ty_string_free
 * @param out_next     [out, optional] token of the next page, NULL when this was the last; free with ty_string_free
 * @param err          [out, optional]
 * @return TY_OK, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_workspace_list_models_json(const ty_workspace *workspace, const char *filter_json,
                                               int32_t page_size, const char *page_token, char **out_json,
                                               char **out_next, ty_error **err) TY_NOEXCEPT;

/**
 * Delete what is no longer wanted: ended runs by age or number, environments that were made and not used for long, then
 * objects (snapshots, model files) that nothing refers to. Children of runs do not count: they go with their parent,
 * when all of them have ended. An environment is made again when a run needs it; images of a container engine are left
 * to the engine.
 *
 * @param workspace    the workspace
 * @param policy_json  an object with any of: "runs_older_than_ms" (duration since the run ended), "keep_last_runs" (per
 * experiment), "experiment" (only this one), "environments_unused_ms" (duration since their last use),
 * "unreferenced_objects" (bool, default true). "{}" deletes unreferenced objects only.
 * @param dry_run      not 0: delete nothing, only report
 * @param out_report_json  [out, optional] {"runs":[ids],"environments":[hashes],"objects":n,"bytes":n,"dry_run":bool};
 * free with ty_string_free
 * @param err          [out, optional]
 * @return TY_OK, TY_ERR_IO, TY_ERR_PERMISSION
 * @since 0.1
 */
TY_API ty_status ty_workspace_prune(ty_workspace *workspace, const char *policy_json, int32_t dry_run,
                                    char **out_report_json, ty_error **err) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_WORKSPACE_H_ */
