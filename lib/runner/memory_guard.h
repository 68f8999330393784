// A run's memory limit, kept without rights on control groups: what its processes have is added up now and then. A
// process that is faster than that meets the kernel's own limit. Thread rule: one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "util/process.h"

namespace trainyard {

class MemoryGuard {
 public:
  static constexpr int64_t kEveryMs = 500;

  explicit MemoryGuard(uint64_t limit_bytes) : limit_(limit_bytes) {}

  // What `processes` have together when that is more than allowed. Pages that several of them share (the workers of a
  // data loader) count once: when the cheap sum is too much, the kernel's proportional shares decide.
  std::optional<uint64_t> Excess(const std::vector<ProcessInfo> &processes) const;
  std::string Message(uint64_t used) const;

 private:
  uint64_t limit_;
};

}  // namespace trainyard
