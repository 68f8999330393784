// operator new and delete of the test program, and so of the libraries it links.
#include "capi/allocations.h"

#include <cstdlib>
#include <new>

thread_local int64_t trainyard_test::allocations_left = -1;

namespace {

using trainyard_test::allocations_left;

void *Allocate(size_t size) {
  if (allocations_left == 0) return nullptr;
  if (allocations_left > 0) --allocations_left;
  return std::malloc(size == 0 ? 1 : size);
}

}  // namespace

void *operator new(size_t size) {
  void *memory = Allocate(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void *operator new[](size_t size) {
  return operator new(size);
}
void *operator new(size_t size, const std::nothrow_t &) noexcept {
  return Allocate(size);
}
void *operator new[](size_t size, const std::nothrow_t &) noexcept {
  return Allocate(size);
}
void operator delete(void *memory) noexcept {
  std::free(memory);
}
void operator delete[](void *memory) noexcept {
  std::free(memory);
}
void operator delete(void *memory, size_t) noexcept {
  std::free(memory);
}
void operator delete[](void *memory, size_t) noexcept {
  std::free(memory);
}
void operator delete(void *memory, const std::nothrow_t &) noexcept {
  std::free(memory);
}
void operator delete[](void *memory, const std::nothrow_t &) noexcept {
  std::free(memory);
}
