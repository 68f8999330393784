// Ranks as MPI processes of Open MPI's mpirun, on this machine or on the hosts of a hostfile by mpirun's own remote
// start. mpirun starts one agent per rank (`trainyard-runner rank`), which connects to this process over TCP (with a
// token that nobody else knows), starts the rank's program and holds on when it ends: so that an exit is recorded
// before mpirun learns of it and ends everything. Programs, arguments, variables and secrets travel over that
// connection, in the clear as mpirun's own do. The workspace must be on a file system that all hosts share: ranks write
// their logs there.
//
// Without a hostfile all ranks are on this machine, however many nodes the request has: the nodes are simulated by the
// ranks' variables. Thread rule: see launcher.h.
#pragma once

#include <memory>

#include "launch/launcher.h"

namespace trainyard {

std::unique_ptr<Launcher> MakeMpiLauncher();

// `trainyard-runner rank`: the agent of the MPI process that this one is. Returns its exit status.
int RunMpiRank();

}  // namespace trainyard
