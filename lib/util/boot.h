// Who this process and this machine are, in terms that outlive the process. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

namespace trainyard {

std::string BootId();  // of this boot of this machine; empty when the kernel does not say
std::string HostName();
// Start of a process in clock ticks since boot (/proc/<pid>/stat, field 22); 0 when there is none.
int64_t ProcessStartTime(int64_t pid);

}  // namespace trainyard
