#include "engine_torch/train/machine.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <thread>

namespace trainyard {
namespace {

// The first line of a small kernel file; empty when there is none.
std::string FirstLine(const std::string &path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The directory of this process's cgroup (version 2), or the root's when it is not visible.
std::string CgroupDirectory() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::")) {
      const std::string directory = "/sys/fs/cgroup" + line.substr(3);
      if (!FirstLine(directory + "/cgroup.controllers").empty()) return directory;
    }
  }
  return "/sys/fs/cgroup";
}

uint64_t Number(const std::string &text, uint64_t fallback) {
  std::istringstream stream(text);
  uint64_t value = 0;
  return stream >> value ? value : fallback;
}

}  // namespace

int AvailableCpus() {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = CPU_COUNT(&set);
  std::istringstream quota(FirstLine(CgroupDirectory() + "/cpu.max"));  // "<quota> <period>" or "max <period>"
  double microseconds = 0;
  double period = 0;
  if (quota >> microseconds >> period && period > 0) {
    cpus = std::min(cpus, static_cast<int>((microseconds + period - 1) / period));
  }
  return std::max(cpus, 1);
}

uint64_t AvailableMemory() {
  constexpr uint64_t kUnknown = std::numeric_limits<uint64_t>::max();
  uint64_t available = kUnknown;
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("MemAvailable:")) available = Number(line.substr(13), 0) << 10;
  }
  const std::string directory = CgroupDirectory();
  const uint64_t limit = Number(FirstLine(directory + "/memory.max"), kUnknown);
  const uint64_t used = Number(FirstLine(directory + "/memory.current"), 0);
  if (limit != kUnknown) available = std::min(available, limit > used ? limit - used : 0);
  return available == kUnknown ? 0 : available;
}

}  // namespace trainyard
