/*
 * trainyard/model.h: registered, versioned sets of files.
 *
 * Threads: all calls on one model may run concurrently.
 */
#ifndef TRAINYARD_MODEL_H_
#define TRAINYARD_MODEL_H_

#include <trainyard/common.h>
#include <trainyard/error.h>
#include <trainyard/workspace.h>

TY_EXTERN_C_BEGIN

typedef struct ty_model ty_model;

/**
 * @param workspace  where
 * @param name       the model
 * @param version    1 or more; 0: the latest
 * @param out_model  [out] free with ty_model_free
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_model_get(ty_workspace *workspace, const char *name, int64_t version, ty_model **out_model,
                              ty_error **err) TY_NOEXCEPT;

/**
 * Register a file or directory as the next version of a model. See ty_run_register_model for what a run made.
 *
 * @param workspace      where
 * @param name           1 to 250 of letters, digits, '-', '_', '.'
 * @param path           a file or a directory; copied
 * @param metadata_json  NULL, or an object with any of "description", "framework", "framework_version", "tags" {},
 * "properties" {}, "datasets" (array of strings and objects: what it was made from)
 * @param out_model      [out, optional] version = highest version ever of this name + 1, also when many processes
 * register at once; free with ty_model_free
 * @param err            [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_NO_SPACE, TY_ERR_PERMISSION, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_model_register(ty_workspace *workspace, const char *name, const char *path,
                                   const char *metadata_json, ty_model **out_model, ty_error **err) TY_NOEXCEPT;

/**
 * The versions of a model, ascending.
 * @param workspace     where
 * @param name          the model
 * @param out_versions  [out] decimal numbers; empty when there is no such model; free with ty_string_list_free
 * @param err           [out, optional]
 * @return TY_OK, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_model_list_versions(const ty_workspace *workspace, const char *name, ty_string_list **out_versions,
                                        ty_error **err) TY_NOEXCEPT;

/** @param model  the model @return its name, borrowed; NULL for NULL @since 0.1 */
TY_API const char *ty_model_name(const ty_model *model) TY_NOEXCEPT;
/** @param model  the model @return its version; 0 for NULL @since 0.1 */
TY_API int64_t ty_model_version(const ty_model *model) TY_NOEXCEPT;
/** @param model  the model @return the run that made it, borrowed; "" when it came from a path; NULL for NULL @since
 * 0.1 */
TY_API const char *ty_model_run_id(const ty_model *model) TY_NOEXCEPT;

/**
 * The whole record:
 * {"name","version","run","created_ms","description","framework","framework_version","tags","properties","datasets",
 * "lineage","files":[{"path","size","sha256"}]}. "lineage" says where the model of a run comes from, as it was when the
 * model was registered (it stays when the run is deleted): {"run", "experiment", "root", "parent", "kind", "snapshot"
 * (of the source directory), "environment", "environment_definition", "inputs" (of the job: by
 * name {"source", "mode", "location", "sha256"}), "data" (of a training job; "references": datastores that arguments
 * and variables name), "code" (repository, commit)}; what is not known is null, and so is all of it for a model that
 * came from a path.
 * @param model     the model
 * @param out_json  [out] free with ty_string_free
 * @param err       [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND (deleted meanwhile), TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_model_to_json(const ty_model *model, char **out_json, ty_error **err) TY_NOEXCEPT;

/**
 * Set or change a tag.
 * @param model  the model
 * @param key    1 to 100 bytes
 * @param value  up to 1000 bytes; NULL removes the tag
 * @param err    [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_model_set_tag(const ty_model *model, const char *key, const char *value,
                                  ty_error **err) TY_NOEXCEPT;

/**
 * Copy the model's files into a directory; their content is checked.
 * @param model      the model
 * @param directory  made when it does not exist
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_CORRUPT (a stored file is damaged), TY_ERR_NO_SPACE, TY_ERR_PERMISSION,
 * TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_model_download(const ty_model *model, const char *directory, ty_error **err) TY_NOEXCEPT;

/**
 * Delete this version. Its number is not given again.
 * @param model  the model; the handle must still be freed
 * @param err    [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_model_delete(const ty_model *model, ty_error **err) TY_NOEXCEPT;

/** @param model  the model, or NULL @since 0.1 */
TY_API void ty_model_free(ty_model *model) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_MODEL_H_ */
