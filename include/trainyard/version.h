/*
 * trainyard/version.h: versions, and where the runtime parts are.
 *
 * Threads: all calls may run concurrently.
 */
#ifndef TRAINYARD_VERSION_H_
#define TRAINYARD_VERSION_H_

#include <trainyard/common.h>
#include <trainyard/error.h>

/** The release of these headers. */
#define TY_VERSION_MAJOR 0
#define TY_VERSION_MINOR 1
#define TY_VERSION_PATCH 0
#define TY_VERSION "0.1.0"

/** The ABI of these headers; equals ty_abi_version() of a library that fits. */
#define TY_ABI_VERSION 0

TY_EXTERN_C_BEGIN

/**
 * @return the release of the loaded library, "0.1.0"; static
 * @since 0.1
 */
TY_API const char *ty_version(void) TY_NOEXCEPT;

/**
 * @return the ABI number of the loaded library, which is its SONAME's number
 * @since 0.1
 */
TY_API int32_t ty_abi_version(void) TY_NOEXCEPT;

/**
 * Say where the runtime directory is (trainyard-runner, libtrainyard_torch.so). Without this call it is looked for in
 * the environment variable TRAINYARD_RUNTIME_DIR, then beside the library (../libexec/trainyard).
 *
 * @param directory  absolute path; NULL goes back to the search
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_RUNTIME (no runner there, or of another build)
 * @since 0.1
 */
TY_API ty_status ty_runtime_set_directory(const char *directory, ty_error **err) TY_NOEXCEPT;

/**
 * Where the runtime directory was found.
 *
 * @param out_directory  [out] absolute path; free with ty_string_free
 * @param err            [out, optional]
 * @return TY_OK, TY_ERR_RUNTIME (the message lists every path tried with its reason)
 * @since 0.1
 */
TY_API ty_status ty_runtime_directory(char **out_directory, ty_error **err) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_VERSION_H_ */
