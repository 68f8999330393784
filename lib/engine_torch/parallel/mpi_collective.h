// Collective by MPI, for ranks that mpirun started.
//
// Thread rule: as collective.h says. MPI itself is called by one thread of this object's alone (MPI_THREAD_FUNNELED,
// which every MPI has): it starts what others ask for and moves it on by MPI_Test, so that sums go over the network
// while the training computes, whether or not the MPI has a thread for that. The longer nothing is over the longer it
// sleeps between two looks, at most kLongestSleep: ranks that wait do not take the CPU from those that compute.
//
// There is no MPI_Abort: mpirun ends the other ranks when a process ends without MPI_Finalize, which is what a rank
// that gives up does, once it has told why.
#pragma once

#include <memory>
#include <string>

#include "engine_torch/parallel/collective.h"

namespace trainyard {

// `plugin`: the path of libtrainyard_torch_mpi.so; empty: beside this library. Throws Error kUnsupported when it is not
// there (built without an MPI) or cannot be loaded (no MPI on this machine), kEngine when MPI does not start.
std::unique_ptr<Collective> OpenMpiCollective(const std::string &plugin);

}  // namespace trainyard
