/*
 * trainyard/datastore.h: where data is. A datastore is a named directory; a data asset is a named, versioned reference
 * to data. A reference is a text:
 *
 *   azureml://datastores/NAME/paths/PATH   in a datastore; means the same on Azure ML (also in its long form,
 *                                          azureml://subscriptions/.../datastores/NAME/paths/PATH)
 *   azureml:NAME:VERSION, NAME:VERSION     a data asset; azureml:NAME@latest
 *   https://..., https://...#SHA256        a URL, and the hash (64 hexadecimal digits) that what arrives must have
 *   http://...#SHA256                      likewise; without a hash from this machine only, also by redirects, as
 *                                          others may change it
 *   file:///...#SHA256                     likewise, a file: fetched, checked, and unpacked when it is an archive
 *   file:///..., any other text            a local path, used as it is
 *
 * Credentials in a URL (user:password@, a signature or token in its query) are used, but never kept: records, logs and
 * errors have "***" in their place. A '/', '?' or '#' in a user or password is written as %2F, %3F or %23; a text of
 * which it is not clear where they end is TY_ERR_INVALID_ARGUMENT. What is at this machine is asked without a proxy.
 *
 * TY_ERR_INVALID_ARGUMENT, besides what a function lists: a text that is no name or reference, or no UTF-8.
 * Threads: every function may be called concurrently.
 */
#ifndef TRAINYARD_DATASTORE_H_
#define TRAINYARD_DATASTORE_H_

#include <trainyard/common.h>
#include <trainyard/error.h>
#include <trainyard/workspace.h>

TY_EXTERN_C_BEGIN

/**
 * Name a directory. The datastore "workspaceblobstore" is always there, in the workspace itself.
 *
 * @param workspace  the workspace
 * @param name       1 to 250 of letters, digits, '-', '_', '.'
 * @param directory  must exist; stays where it is
 * @param err        [out, optional]
 * @return TY_OK (also when it is registered so already), TY_ERR_ALREADY_EXISTS (as another directory),
 * TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_datastore_register(const ty_workspace *workspace, const char *name, const char *directory,
                                       ty_error **err) TY_NOEXCEPT;

/**
 * @param workspace      the workspace
 * @param name           a datastore
 * @param out_directory  [out] its absolute path; free with ty_string_free
 * @param err            [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_datastore_get(const ty_workspace *workspace, const char *name, char **out_directory,
                                  ty_error **err) TY_NOEXCEPT;

/**
 * @param workspace  the workspace
 * @param out_names  [out] sorted; free with ty_string_list_free
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_datastore_list(const ty_workspace *workspace, ty_string_list **out_names,
                                   ty_error **err) TY_NOEXCEPT;

/**
 * Forget a datastore. Its directory stays as it is.
 * @param workspace  the workspace
 * @param name       a datastore that was registered
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_INVALID_STATE ("workspaceblobstore"), TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_datastore_delete(const ty_workspace *workspace, const char *name, ty_error **err) TY_NOEXCEPT;

/**
 * Copy a file, or what is in a directory, into a datastore. Each file appears there whole or not at all. Links to files
 * are followed; those to directories and to nothing, pipes, sockets and devices are errors, and nothing is copied;
 * empty directories are not copied. A datastore is not left through a link in it.
 *
 * @param workspace  the workspace
 * @param name       a datastore
 * @param path       a local file or directory
 * @param target     the directory in the datastore, made when it does not exist; NULL: its root
 * @param overwrite  0: when one of the files exists already, nothing is copied
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND (also the datastore's directory: not mounted?), TY_ERR_INVALID_ARGUMENT (such a link
 * or pipe), TY_ERR_ALREADY_EXISTS, TY_ERR_NO_SPACE, TY_ERR_PERMISSION, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_datastore_upload(const ty_workspace *workspace, const char *name, const char *path,
                                     const char *target, int32_t overwrite, ty_error **err) TY_NOEXCEPT;

/**
 * Register data under a name. The version is the highest ever given to the name plus one, and never changes; it says
 * where the data is and does not copy it (ty_datastore_upload does).
 *
 * @param workspace      the workspace
 * @param name           1 to 250 of letters, digits, '-', '_', '.'
 * @param source         a local path, a datastore reference or a URL; no other asset, and no URL with credentials
 * @param metadata_json  NULL, or an object with any of "description" and "tags" (an object of strings)
 * @param out_version    [out, optional] from 1 on
 * @param err            [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND (there is nothing at the source), TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_data_register(const ty_workspace *workspace, const char *name, const char *source,
                                  const char *metadata_json, int64_t *out_version, ty_error **err) TY_NOEXCEPT;

/**
 * @param workspace  the workspace
 * @param name       a data asset
 * @param version    0: the latest
 * @param out_json   [out] an object: name, version, source, created_ms, description, tags; free with ty_string_free
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_data_get(const ty_workspace *workspace, const char *name, int64_t version, char **out_json,
                             ty_error **err) TY_NOEXCEPT;

/**
 * Forget a version. The data stays where it is, runs and models keep what their records say of it, and the number is
 * not given again.
 * @param workspace  the workspace
 * @param name       a data asset
 * @param version    1 or more
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_INVALID_ARGUMENT, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_data_delete(const ty_workspace *workspace, const char *name, int64_t version,
                                ty_error **err) TY_NOEXCEPT;

/**
 * @param workspace  the workspace
 * @param out_names  [out] the names of all data assets, sorted; free with ty_string_list_free
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_data_list(const ty_workspace *workspace, ty_string_list **out_names, ty_error **err) TY_NOEXCEPT;

/**
 * @param workspace     the workspace
 * @param name          a data asset
 * @param out_versions  [out] its versions as decimal numbers, ascending; empty for a name that is not there; free with
 * ty_string_list_free
 * @param err           [out, optional]
 * @return TY_OK, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_data_list_versions(const ty_workspace *workspace, const char *name, ty_string_list **out_versions,
                                       ty_error **err) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_DATASTORE_H_ */
