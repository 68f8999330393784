// What a job needs of the compute it runs on, and whether that is there. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compute/slot_queue.h"
#include "core/compute.h"
#include "core/job.h"
#include "store/store.h"

namespace trainyard {

// "local", or one of the workspace's. Error kNotFound that names the nearest.
Compute FindCompute(const std::string &name, Store *store);
// What follows from the machine and the hostfile: checks it, and fills in the nodes of kind mpi.
void CompleteCompute(Compute *compute);
// Its nodes, and where its queue is. GPUs are looked for only `with_gpus`.
Capacity CapacityOf(const Compute &compute, const std::string &workspace, bool with_gpus);

struct JobNeeds {
  Compute compute;
  Capacity capacity;
  Ticket ticket;           // without a number
  int32_t node_count = 1;  // as the job sees them: the one node of "local" may stand for several
  int32_t gpus_per_node = 0;
};

// Of a job that is checked. GPUs are looked for only when the job may get some.
JobNeeds NeedsOf(const Job &job, Store *store);

// Throws Error kInvalidArgument when the job asks for more than its compute can ever give; the message has both
// numbers.
void CheckNeeds(const Job &job, const JobNeeds &needs);
// What is allowed and most likely a mistake.
std::vector<std::string> JobWarnings(const Job &job, const JobNeeds &needs);

}  // namespace trainyard
