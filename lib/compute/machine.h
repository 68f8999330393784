// What this machine has for the runs of this user, and where they keep what they share. Thread-safe.
//
// Directory: $XDG_RUNTIME_DIR/trainyard, else /run/user/<uid>/trainyard, else /tmp/trainyard-<uid> (0700, own). All
// that holds a place in it is a flock of a living process, so the kernel gives back what a killed one held.
//   slots/ tickets/            the queue of the compute "local" (compute/slot_queue.h)
//   computes/<id>/             the same of each named compute
//   gpus/<id>  gpus.lock       GPUs, held by the run that uses one; the second while somebody takes some
//   cpus/<n>                   CPUs, held by the run that is bound to one
//   ports/<port>               held by the run whose MASTER_PORT it is
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "util/fs.h"

namespace trainyard {

// The directory; made when absent. Error kPermission when it is somebody else's.
std::string MachineDirectory();
// How many slots and GPUs a compute may have on all of its nodes: as many files as a process may open (the hard limit),
// less what a run needs besides; Compute::kMaxSlots at most.
int64_t MostPlaces();
// TRAINYARD_LOCAL_SLOTS, else the CPUs this process may use.
int32_t LocalSlotCount();

// The CPUs this process may use, ascending.
std::vector<int32_t> UsableCpus();
// Of the machine, or less where a control group allows less.
uint64_t MemoryBytes();

// `count` CPUs to be bound to: those that no other run is bound to first, then any; held while the lease lives.
struct CpuLease {
  std::vector<int32_t> cpus;
  bool exclusive = true;  // nobody else is bound to one of them
  std::vector<UniqueFd> locks;
};
CpuLease LeaseCpus(const std::string &machine_directory, int32_t count);

// Opens, making it when absent, and locks by flock(2) with `operation`; an invalid descriptor when LOCK_NB says no.
UniqueFd LockFile(const std::string &path, int operation);

}  // namespace trainyard
