// What memory this process has, as the kernel counts it. Thread rule: any thread.
#pragma once

#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>

namespace trainyard {

// A line of /proc/self/status in KiB: "VmRSS" (resident now), "VmHWM" (the most so far).
inline int64_t ProcessMemoryKib(const std::string &name) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != name + ":") continue;
    int64_t kib = 0;
    status >> kib;
    return kib;
  }
  throw std::runtime_error("/proc/self/status has no " + name);
}

}  // namespace trainyard
