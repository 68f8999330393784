// libtrainyard_torch_mpi.so: MPI's calls behind mpi_plugin.h. Links no LibTorch and no other part of trainyard but the
// build id.
#include "engine_torch/parallel/mpi_plugin.h"

#include <mpi.h>

#include <cstdio>
#include <cstring>
#include <new>

#include "util/build_id.h"

struct ty_mpi_operation {
  MPI_Request request = MPI_REQUEST_NULL;
};

namespace {

// Of its own, so that messages of other code in the process are not mistaken for the training's.
MPI_Comm world = MPI_COMM_NULL;

int32_t Check(const char *what, int code, ty_mpi_error *error) {
  if (code == MPI_SUCCESS) return 0;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  std::snprintf(error->text, sizeof error->text, "%s: %s", what, text);
  return -1;
}

int32_t Refuse(const char *why, ty_mpi_error *error) {
  std::snprintf(error->text, sizeof error->text, "%s", why);
  return -1;
}

int32_t Start(int32_t *rank, int32_t *size, char *library, size_t library_size, ty_mpi_error *error) {
  int there = 0;
  MPI_Initialized(&there);
  if (there != 0) return Refuse("another part of this process uses MPI already", error);
  int level = 0;
  if (const int code = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level); code != MPI_SUCCESS)
    return Check("MPI_Init_thread", code, error);
  if (level < MPI_THREAD_FUNNELED) return Refuse("this MPI allows no threads in the process", error);
  if (const int code = MPI_Comm_dup(MPI_COMM_WORLD, &world); code != MPI_SUCCESS)
    return Check("MPI_Comm_dup", code, error);
  MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN);
  int number = 0;
  int count = 0;
  MPI_Comm_rank(world, &number);
  MPI_Comm_size(world, &count);
  *rank = number;
  *size = count;
  char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(version, &length);
  version[std::strcspn(version, ",\n")] = '\0';
  std::snprintf(library, library_size, "%s", version);
  return 0;
}

// Starts one operation by `call`, which fills in a request.
template <typename Call>
int32_t Begin(const char *what, Call call, ty_mpi_operation **out, ty_mpi_error *error) {
  auto *operation = new (std::nothrow) ty_mpi_operation;
  if (operation == nullptr) return Refuse("out of memory", error);
  const int32_t status = Check(what, call(&operation->request), error);
  if (status != 0) {
    delete operation;
  } else {
    *out = operation;
  }
  return status;
}

MPI_Datatype TypeOf(ty_mpi_type type) {
  return type == TY_MPI_FLOAT ? MPI_FLOAT : type == TY_MPI_DOUBLE ? MPI_DOUBLE : MPI_INT64_T;
}

int32_t AllReduce(void *data, int32_t count, ty_mpi_type type, ty_mpi_reduction reduction, ty_mpi_operation **out,
                  ty_mpi_error *error) {
  return Begin(
      "MPI_Iallreduce",
      [&](MPI_Request *request) {
        return MPI_Iallreduce(MPI_IN_PLACE, data, count, TypeOf(type), reduction == TY_MPI_SUM ? MPI_SUM : MPI_MAX,
                              world, request);
      },
      out, error);
}

int32_t Broadcast(void *data, int32_t bytes, int32_t root, ty_mpi_operation **out, ty_mpi_error *error) {
  return Begin(
      "MPI_Ibcast", [&](MPI_Request *request) { return MPI_Ibcast(data, bytes, MPI_BYTE, root, world, request); }, out,
      error);
}

int32_t Barrier(ty_mpi_operation **out, ty_mpi_error *error) {
  return Begin(
      "MPI_Ibarrier", [&](MPI_Request *request) { return MPI_Ibarrier(world, request); }, out, error);
}

int32_t Test(ty_mpi_operation *operation, int32_t *done, ty_mpi_error *error) {
  int flag = 0;
  const int32_t status = Check("MPI_Test", MPI_Test(&operation->request, &flag, MPI_STATUS_IGNORE), error);
  *done = flag;
  if (status == 0 && flag != 0) delete operation;
  return status;
}

int32_t Finish(ty_mpi_error *error) {
  if (const int32_t status = Check("MPI_Comm_free", MPI_Comm_free(&world), error); status != 0) return status;
  return Check("MPI_Finalize", MPI_Finalize(), error);
}

const ty_mpi kTable = {
    TY_MPI_PLUGIN_VERSION, trainyard::BuildId(), Start, AllReduce, Broadcast, Barrier, Test, Finish,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const ty_mpi *trainyard_mpi_entry(void) {
  return &kTable;
}
