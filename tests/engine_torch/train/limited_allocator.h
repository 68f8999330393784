// A memory of which a test says how large it is. Thread rule: any thread.
#pragma once

#include <c10/core/CPUAllocator.h>

#include <atomic>
#include <cstring>
#include <limits>

namespace trainyard {

// Fails allocations above a limit, as a full memory does.
class LimitedAllocator final : public c10::Allocator {
 public:
  explicit LimitedAllocator(c10::Allocator *base) : base_(base) {}
  c10::DataPtr allocate(size_t size) override {
    if (size > largest) largest = size;
    if (size > limit) C10_THROW_ERROR(OutOfMemoryError, "out of memory");
    return base_->allocate(size);
  }
  c10::DeleterFnPtr raw_deleter() const override { return base_->raw_deleter(); }
  void copy_data(void *to, const void *from, std::size_t count) const override { base_->copy_data(to, from, count); }

  std::atomic<size_t> largest = 0;  // that was asked for
  std::atomic<size_t> limit = std::numeric_limits<size_t>::max();

 private:
  c10::Allocator *base_;
};

// LibTorch's from the first call on.
inline LimitedAllocator &Memory() {
  static LimitedAllocator *const allocator = [] {
    auto *made = new LimitedAllocator(c10::GetCPUAllocator());
    c10::SetCPUAllocator(made, /*priority=*/200);
    return made;
  }();
  return *allocator;
}

}  // namespace trainyard
