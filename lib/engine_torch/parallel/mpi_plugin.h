/*
 * The seam between the engine and libtrainyard_torch_mpi.so, the only part that is built with an MPI: its handles are
 * of another kind in each MPI, so that they cannot be looked up at run time. The plug-in is a thin layer: one MPI call
 * behind each function.
 *
 * Threads: all calls come from the one thread that called start() (MPI_THREAD_FUNNELED is all that is asked for).
 */
#ifndef TRAINYARD_ENGINE_TORCH_PARALLEL_MPI_PLUGIN_H_
#define TRAINYARD_ENGINE_TORCH_PARALLEL_MPI_PLUGIN_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TY_MPI_PLUGIN_VERSION 1
#define TY_MPI_PLUGIN_ENTRY "trainyard_mpi_entry"

enum ty_mpi_type { TY_MPI_FLOAT, TY_MPI_DOUBLE, TY_MPI_INT64 };
enum ty_mpi_reduction { TY_MPI_SUM, TY_MPI_MAX };

/* Where a failure is described. */
typedef struct ty_mpi_error {
  char text[512];
} ty_mpi_error;

/* One operation that runs. */
typedef struct ty_mpi_operation ty_mpi_operation;

/* Functions return 0, or -1 with *error filled. */
typedef struct ty_mpi {
  uint32_t version; /* TY_MPI_PLUGIN_VERSION */
  const char *build_id;

  int32_t (*start)(int32_t *rank, int32_t *size, char *library, size_t library_size, ty_mpi_error *error);
  int32_t (*all_reduce)(void *data, int32_t count, enum ty_mpi_type type, enum ty_mpi_reduction reduction,
                        ty_mpi_operation **out, ty_mpi_error *error);
  int32_t (*broadcast)(void *data, int32_t bytes, int32_t root, ty_mpi_operation **out, ty_mpi_error *error);
  int32_t (*barrier)(ty_mpi_operation **out, ty_mpi_error *error);
  /* Moves all operations on. *done: this one is over, and freed. */
  int32_t (*test)(ty_mpi_operation *operation, int32_t *done, ty_mpi_error *error);
  /* Waits for all ranks. */
  int32_t (*finish)(ty_mpi_error *error);
} ty_mpi;

typedef const ty_mpi *(*ty_mpi_entry)(void);

#ifdef __cplusplus
}
#endif

#endif /* TRAINYARD_ENGINE_TORCH_PARALLEL_MPI_PLUGIN_H_ */
