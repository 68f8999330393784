// Random bytes from the kernel (getrandom). Thread-safe and fork-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace trainyard {

void RandomBytes(void *out, size_t size);
uint64_t RandomUint64();
// `length` characters of a-z and 2-7, 5 random bits each.
std::string RandomBase32(size_t length);

}  // namespace trainyard
