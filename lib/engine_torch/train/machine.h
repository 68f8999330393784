// What this process may use of the machine. Thread-safe.
#pragma once

#include <cstdint>

namespace trainyard {

// CPUs of the affinity mask, at most the cgroup's quota (rounded up); at least 1.
int AvailableCpus();

// Memory that may still be used: MemAvailable, at most what the cgroup's limit leaves.
uint64_t AvailableMemory();

}  // namespace trainyard
