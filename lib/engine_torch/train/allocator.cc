#include "engine_torch/train/allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

namespace trainyard {
namespace {

// Blocks come in size classes, four to a power of two, so that a little more than a quarter is lost at most. In front
// of the data lies one cache line that holds the class. Small blocks are left to malloc, which is good at them.
constexpr size_t kHeader = 64;
constexpr size_t kSmallest = size_t{1} << 15;
constexpr size_t kHuge = size_t{4} << 20;
constexpr size_t kClasses = 4 * 48;
constexpr uint32_t kUncached = kClasses;

size_t ClassOf(size_t size) {
  const size_t power = static_cast<size_t>(std::bit_width(size - 1)) - 1;  // 2^power < size <= 2^(power + 1)
  const size_t quarter = (size - 1 - (size_t{1} << power)) >> (power - 2);
  return 4 * power + quarter;
}

size_t SizeOfClass(size_t index) {
  const size_t power = index / 4;
  return (size_t{1} << power) + (index % 4 + 1) * (size_t{1} << (power - 2));
}

class CachingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t size) override {
    void *data = size == 0 ? nullptr : Take(size);
    return {data, data, &Free, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &Free; }
  void copy_data(void *to, const void *from, std::size_t count) const override { std::memcpy(to, from, count); }

  // One per process, and never destroyed: tensors may outlive everything else.
  static CachingAllocator &Instance() {
    alignas(CachingAllocator) static unsigned char place[sizeof(CachingAllocator)];
    static CachingAllocator *const instance = ::new (place) CachingAllocator;
    return *instance;
  }

 private:
  void *Take(size_t size) {
    const bool cached = size >= kSmallest;
    const size_t index = cached ? ClassOf(size) : kUncached;
    void *block = nullptr;
    if (cached && index < kClasses) {
      const std::lock_guard lock(mutex_);
      if (!free_[index].empty()) {
        block = free_[index].back();
        free_[index].pop_back();
        return static_cast<char *>(block) + kHeader;
      }
    }
    const size_t bytes = cached && index < kClasses ? SizeOfClass(index) : size;
    if (bytes > SIZE_MAX / 2 ||
        posix_memalign(&block, bytes >= kHuge ? size_t{2} << 20 : kHeader, bytes + kHeader) != 0) {
      C10_THROW_ERROR(OutOfMemoryError, "out of memory: " + std::to_string(size) + " bytes wanted");
    }
    if (bytes >= kHuge) madvise(block, bytes + kHeader, MADV_HUGEPAGE);
    const auto mark = static_cast<uint32_t>(index < kClasses ? index : kUncached);
    std::memcpy(block, &mark, sizeof mark);
    return static_cast<char *>(block) + kHeader;
  }

  static void Free(void *data) {
    if (data == nullptr) return;
    void *block = static_cast<char *>(data) - kHeader;
    uint32_t index = 0;
    std::memcpy(&index, block, sizeof index);
    if (index >= kClasses) {
      std::free(block);
      return;
    }
    CachingAllocator &self = Instance();
    const std::lock_guard lock(self.mutex_);
    self.free_[index].push_back(block);
  }

  std::mutex mutex_;
  std::array<std::vector<void *>, kClasses> free_;
};

}  // namespace

void InstallCachingAllocator() {
  static const bool done = [] {
    c10::SetCPUAllocator(&CachingAllocator::Instance(), /*priority=*/100);
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace trainyard
