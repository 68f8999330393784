// What a job needs of the compute it runs on, and whether that is there. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compute/slot_queue.h"
#include "core/job.h"
#include "store/store.h"

namespace trainyard {

struct JobNeeds {
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
std::vector<std::string> NeedsWarnings(const Job &job, const JobNeeds &needs);

}  // namespace trainyard
