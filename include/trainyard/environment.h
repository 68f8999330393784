/*
 * trainyard/environment.h: the software a job runs in. An environment is a builder whose parts compose: a base image or
 * an interpreter, a Dockerfile, conda packages, pip packages, a framework, variables. It is made once per content hash,
 * before the first run that needs it, and shared by all that have the same content, whatever their names.
 *
 * What is made of the parts:
 *  - nothing but variables: the ranks run with what the machine has ("system");
 *  - an interpreter: it is used as it is, nothing is installed;
 *  - pip packages: a Python virtual environment. A conda file that asks for Python and pip packages only needs no
 * conda: the Python of that version is looked for in PATH;
 *  - other conda packages: micromamba, mamba or conda makes it;
 *  - a base image or a Dockerfile: an image, with the packages on top; ranks run in containers of podman or docker.
 *
 * The content hash is the SHA-256 of a canonical JSON (RFC 8785) of
 * {"recipe":"trainyard-environment-1","base_image","dockerfile","conda":{"file","packages","channels"},"pip",
 * "framework":{"name","version"},"interpreter"}, empty parts left out; of the conda file without comments, empty lines
 * and its name and prefix; packages sorted; pip requirements and packages as one list without comments. Name, version,
 * variables, credentials and container options are not in it.
 *
 * All parts are kept in the workspace, in records and logs. Credentials in the URLs of images, packages, channels, a
 * Dockerfile or container arguments (user:password@, a token or signature in the query, conda's /t/TOKEN/) are
 * TY_ERR_INVALID_ARGUMENT when they are set, and when a job with such an environment is submitted; "${NAME}" in the
 * place of one is fine where the tool puts a variable there. Tools read their own configuration: pip.conf, ~/.netrc,
 * ~/.condarc, and PIP_INDEX_URL in the environment of the process that submits. Variables are kept as they are: a
 * secret one is for ty_job_set_secret.
 *
 * Threads: one thread at a time, except for calls that take `const ty_environment *`.
 */
#ifndef TRAINYARD_ENVIRONMENT_H_
#define TRAINYARD_ENVIRONMENT_H_

#include <trainyard/common.h>
#include <trainyard/error.h>
#include <trainyard/job.h>
#include <trainyard/workspace.h>

TY_EXTERN_C_BEGIN

typedef struct ty_environment ty_environment;

/**
 * An environment without parts.
 * @param name             1 to 250 of letters, digits, '-', '_', '.'
 * @param out_environment  [out] free with ty_environment_free
 * @param err              [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_new(const char *name, ty_environment **out_environment, ty_error **err) TY_NOEXCEPT;

/**
 * A registered environment, or one that comes with the library: "trainyard-pytorch-2.11-cpu",
 * "trainyard-pytorch-2.11-cuda", "trainyard-minimal". Names of Azure ML's PyTorch environments
 * ("AzureML-PyTorch-1.6-GPU", ...) and AzureML-Minimal give the nearest of these, and a warning in the library's log.
 * Those that come with the library cannot be changed: clone them.
 *
 * @param workspace        where
 * @param name             the environment
 * @param version          "1", "2", ...; NULL: the latest
 * @param out_environment  [out] free with ty_environment_free
 * @param err              [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND (names those there are), TY_ERR_RUNTIME, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_environment_get(const ty_workspace *workspace, const char *name, const char *version,
                                    ty_environment **out_environment, ty_error **err) TY_NOEXCEPT;

/**
 * The names of all environments, registered ones and those that come with the library, sorted.
 * @param workspace  where
 * @param out_names  [out] free with ty_string_list_free
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_RUNTIME, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_environment_list(const ty_workspace *workspace, ty_string_list **out_names,
                                     ty_error **err) TY_NOEXCEPT;

/**
 * The registered versions of an environment, ascending.
 * @param workspace     where
 * @param name          the environment
 * @param out_versions  [out] decimal numbers; empty when there is none; free with ty_string_list_free
 * @param err           [out, optional]
 * @return TY_OK, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_environment_list_versions(const ty_workspace *workspace, const char *name,
                                              ty_string_list **out_versions, ty_error **err) TY_NOEXCEPT;

/**
 * Register as the next version of its name.
 * @param workspace        where
 * @param environment      what; the password of a registry is not kept
 * @param out_environment  [out, optional] with its version = highest version ever of this name + 1, also when many
 *                         processes register at once; free with ty_environment_free
 * @param err              [out, optional]
 * @return TY_OK, TY_ERR_INVALID_ARGUMENT (also for names that start with AzureML or Microsoft), TY_ERR_NO_SPACE,
 * TY_ERR_RUNTIME, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_environment_register(const ty_workspace *workspace, const ty_environment *environment,
                                         ty_environment **out_environment, ty_error **err) TY_NOEXCEPT;

/**
 * Delete a registered version. Its number is not given again; runs keep their definition.
 * @param workspace  where
 * @param name       the environment
 * @param version    which one
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_environment_delete(const ty_workspace *workspace, const char *name, const char *version,
                                       ty_error **err) TY_NOEXCEPT;

/** @param environment  the environment @return its name, borrowed; NULL for NULL @since 0.1 */
TY_API const char *ty_environment_name(const ty_environment *environment) TY_NOEXCEPT;
/** @param environment  the environment @return its version, borrowed; "" when it is not registered; NULL for NULL
 * @since 0.1 */
TY_API const char *ty_environment_version(const ty_environment *environment) TY_NOEXCEPT;

/**
 * The content hash; see the top of this header.
 * @param environment  the environment
 * @param out_hash     [out] 64 hexadecimal digits; free with ty_string_free
 * @param err          [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_hash(const ty_environment *environment, char **out_hash, ty_error **err) TY_NOEXCEPT;

/**
 * Ranks run in containers of this image.
 * @param environment  the environment
 * @param image        as podman and docker take it; "default": an image with Python, with CUDA when the job asks for
 *                     GPUs; NULL: no image (default)
 * @param err          [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_set_base_image(ty_environment *environment, const char *image,
                                               ty_error **err) TY_NOEXCEPT;

/**
 * How to reach the registry of the base image. The password stays in memory: no file and no record holds it, and who
 * gets the environment from a workspace has to set it again.
 * @param environment  the environment
 * @param address      the registry, "registry.example.com"; NULL: none (default)
 * @param username     NULL: none
 * @param password     NULL: none
 * @param err          [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_set_registry_credentials(ty_environment *environment, const char *address,
                                                         const char *username, const char *password,
                                                         ty_error **err) TY_NOEXCEPT;

/**
 * @param environment  the environment
 * @param text         a Dockerfile. Without a FROM line it continues the base image. The directory it is built in is
 *                     empty. NULL: none (default)
 * @param err          [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_set_dockerfile(ty_environment *environment, const char *text,
                                               ty_error **err) TY_NOEXCEPT;

/**
 * Options of the containers.
 * @param environment  the environment
 * @param shm_size     shared memory, "2g" (default); NULL: the default
 * @param arguments    given to the engine's run command as they are; may be NULL when count is 0
 * @param count        how many; default 0
 * @param err          [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_set_container_options(ty_environment *environment, const char *shm_size,
                                                      const char *const *arguments, size_t count,
                                                      ty_error **err) TY_NOEXCEPT;

/**
 * @param environment  the environment
 * @param path         a conda file (YAML), read now; NULL: none (default). What is in it is checked when a job is
 *                     submitted or validated.
 * @param err          [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_PERMISSION, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_environment_set_conda_file(ty_environment *environment, const char *path,
                                               ty_error **err) TY_NOEXCEPT;

/**
 * @param environment  the environment
 * @param package      as conda takes it: "numpy=1.26", "python=3.11"
 * @param err          [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_add_conda_package(ty_environment *environment, const char *package,
                                                  ty_error **err) TY_NOEXCEPT;

/**
 * @param environment  the environment
 * @param channel      "conda-forge"; the first one has the highest priority
 * @param err          [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_add_conda_channel(ty_environment *environment, const char *channel,
                                                  ty_error **err) TY_NOEXCEPT;

/**
 * @param environment  the environment
 * @param package      one line as in a requirements file: "numpy>=1.26". Lines that name files of this machine (-r, -e,
 *                     paths) are TY_ERR_INVALID_ARGUMENT.
 * @param err          [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_add_pip_package(ty_environment *environment, const char *package,
                                                ty_error **err) TY_NOEXCEPT;

/**
 * @param environment  the environment
 * @param path         a requirements file, read now; NULL: none (default)
 * @param err          [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_PERMISSION, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_environment_set_pip_requirements(ty_environment *environment, const char *path,
                                                     ty_error **err) TY_NOEXCEPT;

/**
 * The framework that scripts need: installed with the pip packages; in an interpreter that is used as it is, looked for
 * before ranks are started.
 * @param environment  the environment
 * @param name         "PyTorch", "TensorFlow", "Horovod", "Python"; NULL: none (default)
 * @param version      "2.11", "2.11.0", ">=2.6"; NULL: any
 * @param err          [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_set_framework(ty_environment *environment, const char *name, const char *version,
                                              ty_error **err) TY_NOEXCEPT;

/**
 * A Python that is used as it is; with a base image, the one inside.
 * @param environment  the environment
 * @param path         a path, or a name that is looked for in PATH; NULL: none (default)
 * @param err          [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_set_interpreter(ty_environment *environment, const char *path,
                                                ty_error **err) TY_NOEXCEPT;

/**
 * Set an environment variable of the ranks; the job's own variables win.
 * @param environment  the environment
 * @param name         not empty, no '='
 * @param value        NULL takes the setting back
 * @param err          [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_set_variable(ty_environment *environment, const char *name, const char *value,
                                             ty_error **err) TY_NOEXCEPT;

/**
 * A copy under another name, not registered, free to be changed.
 * @param environment      the original
 * @param name             of the copy
 * @param out_environment  [out] free with ty_environment_free
 * @param err              [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_clone(const ty_environment *environment, const char *name,
                                      ty_environment **out_environment, ty_error **err) TY_NOEXCEPT;

/**
 * Write azureml_environment.json, conda_dependencies.yml and BaseDockerfile, the latter two where there is something to
 * write.
 * @param environment  the environment
 * @param directory    made when it does not exist
 * @param overwrite    not 0: existing files of these names are replaced
 * @param err          [out, optional]
 * @return TY_OK, TY_ERR_ALREADY_EXISTS, TY_ERR_PERMISSION, TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_environment_save_to_directory(const ty_environment *environment, const char *directory,
                                                  int32_t overwrite, ty_error **err) TY_NOEXCEPT;

/**
 * Read what ty_environment_save_to_directory wrote: the same parts; or what the Azure ML SDK wrote.
 * @param directory        where
 * @param out_environment  [out] free with ty_environment_free
 * @param err              [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_PERMISSION, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_environment_load_from_directory(const char *directory, ty_environment **out_environment,
                                                    ty_error **err) TY_NOEXCEPT;

/**
 * Make it now, so that the first run need not wait. Returns when it is there.
 * @param workspace        where
 * @param environment      what
 * @param log_fd           its log is written here as it grows; -1: not
 * @param out_report_json  [out, optional] {"hash","kind","directory","python","image","reused":bool,
 * "packages":[{"name","version"}]}; free with ty_string_free
 * @param err              [out, optional]
 * @return TY_OK, TY_ERR_INVALID_ARGUMENT (it cannot be made here; says why and what to do), TY_ERR_RUNTIME (the
 * installer failed; its own reason), TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_environment_build(const ty_workspace *workspace, const ty_environment *environment, int32_t log_fd,
                                      char **out_report_json, ty_error **err) TY_NOEXCEPT;

/**
 * @param environment  the environment
 * @param out_json     [out] without the registry's password; free with ty_string_free
 * @param err          [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_to_json(const ty_environment *environment, char **out_json, ty_error **err) TY_NOEXCEPT;

/**
 * Read what ty_environment_to_json wrote. An unknown key is an error that names it and the nearest known one.
 * @param json             the text
 * @param out_environment  [out] free with ty_environment_free
 * @param err              [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_environment_from_json(const char *json, ty_environment **out_environment,
                                          ty_error **err) TY_NOEXCEPT;

/** @param environment  the environment, or NULL @since 0.1 */
TY_API void ty_environment_free(ty_environment *environment) TY_NOEXCEPT;

/**
 * Run a job in an environment; the job takes a copy, which need not be registered.
 * @param job          the job
 * @param environment  NULL: "system", what the machine has (default)
 * @param err          [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_job_set_environment(ty_job *job, const ty_environment *environment, ty_error **err) TY_NOEXCEPT;

/**
 * Run a job in an environment that is looked up when the job is submitted.
 * @param job   the job
 * @param name  "name" (the latest version), "name:version", or NULL: "system" (default)
 * @param err   [out, optional]
 * @return TY_OK; the submit answers TY_ERR_NOT_FOUND when there is none
 * @since 0.1
 */
TY_API ty_status ty_job_set_environment_name(ty_job *job, const char *name, ty_error **err) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_ENVIRONMENT_H_ */
