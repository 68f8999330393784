#include "runner/memory_guard.h"

#include <fstream>

namespace trainyard {
namespace {

// "Pss:   1234 kB" of smaps_rollup; nothing where it cannot be read.
std::optional<uint64_t> ProportionalBytes(int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::string name;
  uint64_t kilobytes = 0;
  std::string rest;
  std::getline(file, rest);  // the address range
  while (file >> name >> kilobytes) {
    std::getline(file, rest);
    if (name == "Pss:") return kilobytes * 1024;
  }
  return std::nullopt;
}

std::string Megabytes(uint64_t bytes) {
  return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

}  // namespace

std::optional<uint64_t> MemoryGuard::Excess(const std::vector<ProcessInfo> &processes) const {
  uint64_t resident = 0;
  for (const ProcessInfo &process : processes) resident += process.resident_bytes;
  if (resident <= limit_) return std::nullopt;
  uint64_t own = 0;
  for (const ProcessInfo &process : processes) own += ProportionalBytes(process.pid).value_or(process.resident_bytes);
  return own > limit_ ? std::optional<uint64_t>(own) : std::nullopt;
}

std::string MemoryGuard::Message(uint64_t used) const {
  return "the run's processes use " + Megabytes(used) + " of memory and were ended: the job allows " +
         Megabytes(limit_) + "; raise that with ty_job_set_memory, or use less";
}

}  // namespace trainyard
