#include "engine_torch/parallel/collective.h"

#include <cstdlib>

#include "engine_torch/parallel/mpi_collective.h"
#include "util/error.h"

namespace trainyard {
namespace {

bool IsSet(const char *name) {
  return std::getenv(name) != nullptr;  // NOLINT(concurrency-mt-unsafe): nothing here changes the environment
}

// Open MPI's mpirun, and what else starts MPI processes by PMIx or PMI (srun, MPICH's mpirun).
bool StartedByMpi() {
  return IsSet("OMPI_COMM_WORLD_RANK") || IsSet("PMIX_RANK") || IsSet("PMI_RANK");
}

}  // namespace

std::unique_ptr<Collective> OpenCollective(int rank, int world_size, const std::string &plugin) {
  if (!StartedByMpi()) {
    throw Error(Status::kUnsupported,
                "the " + std::to_string(world_size) +
                    " ranks of this training were not started by mpirun, and the engine has no other way for them to "
                    "talk: give the job a distribution of ty_distribution_new_mpi");
  }
  std::unique_ptr<Collective> collective = OpenMpiCollective(plugin);
  if (collective->rank() == rank && collective->world_size() == world_size) return collective;
  throw Error(Status::kEngine, "RANK and WORLD_SIZE are " + std::to_string(rank) + " and " +
                                   std::to_string(world_size) + ", and " + collective->name() + " says rank " +
                                   std::to_string(collective->rank()) + " of " +
                                   std::to_string(collective->world_size()));
}

}  // namespace trainyard
