// Bytes that caches may still take; shared by the data sets of a job. Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace trainyard {

class MemoryBudget {
 public:
  explicit MemoryBudget(uint64_t bytes) : left_(bytes) {}
  // False: they are more than is left, and nothing is taken.
  bool Take(uint64_t bytes) {
    uint64_t left = left_.load(std::memory_order_relaxed);
    do {
      if (left < bytes) return false;
    } while (!left_.compare_exchange_weak(left, left - bytes, std::memory_order_relaxed));
    return true;
  }
  uint64_t left() const { return left_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> left_;
};

}  // namespace trainyard
