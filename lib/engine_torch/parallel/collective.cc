#include "engine_torch/parallel/collective.h"

#include <cstdlib>

#include "engine_torch/parallel/mpi_collective.h"
#include "util/error.h"

namespace trainyard {
namespace {

MakeGpuCollective make_gpu_collective = nullptr;

bool IsSet(const char *name) {
  return std::getenv(name) != nullptr;  // NOLINT(concurrency-mt-unsafe): nothing here changes the environment
}

// Open MPI's mpirun, and what else starts MPI processes by PMIx or PMI (srun, MPICH's mpirun).
bool StartedByMpi() {
  return IsSet("OMPI_COMM_WORLD_RANK") || IsSet("PMIX_RANK") || IsSet("PMI_RANK");
}

}  // namespace

void SetGpuCollective(MakeGpuCollective make) {
  make_gpu_collective = make;
}

bool HasGpuCollective() {
  return make_gpu_collective != nullptr;
}

std::unique_ptr<Collective> OpenCollective(int rank, int world_size, c10::Device device, const std::string &plugin) {
  if (!device.is_cpu()) {
    if (HasGpuCollective()) return make_gpu_collective(rank, world_size, device);
    throw Error(
        Status::kUnsupported,
        "training on several GPUs needs NCCL, and this trainyard was built without: build it where LibTorch has "
        "CUDA and the headers of CUDA (with crt/) and of NCCL are found, or set device to cpu");
  }
  if (!StartedByMpi()) {
    throw Error(
        Status::kUnsupported,
        "the " + std::to_string(world_size) +
            " ranks of this training are on CPUs and were not started by mpirun, and the engine has no other way "
            "for them to talk: give the job a distribution of ty_distribution_new_mpi, or a GPU for each rank");
  }
  std::unique_ptr<Collective> collective = OpenMpiCollective(plugin);
  if (collective->rank() == rank && collective->world_size() == world_size) return collective;
  throw Error(Status::kEngine, "RANK and WORLD_SIZE are " + std::to_string(rank) + " and " +
                                   std::to_string(world_size) + ", and " + collective->name() + " says rank " +
                                   std::to_string(collective->rank()) + " of " +
                                   std::to_string(collective->world_size()));
}

}  // namespace trainyard
