// Whether the kernel has killed something for want of memory. Thread rule: one thread at a time.
#pragma once

#include <cstdint>

namespace trainyard {

// Counts of the own cgroup (v2 memory.events, v1 memory.oom_control) and of the machine (/proc/vmstat).
class OomWatch {
 public:
  OomWatch();
  // Since it was made or since the last call.
  bool KilledSince();

 private:
  int64_t last_ = 0;
};

}  // namespace trainyard
