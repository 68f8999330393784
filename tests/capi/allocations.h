// Makes operator new fail. In a file of its own: the compiler must not see through it.
#pragma once

#include <cstdint>

namespace trainyard_test {

// The allocations of this thread that still succeed; negative = all.
extern thread_local int64_t allocations_left;

}  // namespace trainyard_test
