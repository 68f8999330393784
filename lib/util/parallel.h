// Work on many things by a few threads that end with the call. The helpers take no signals: those are the host's.
// Thread-safe.
#pragma once

#include <cstddef>
#include <functional>

namespace trainyard {

// Calls work(0) ... work(count - 1), on this thread and up to `threads` - 1 others; fewer when the system gives none.
// The first exception ends the rest early and is thrown here.
void ParallelFor(size_t count, size_t threads, const std::function<void(size_t)> &work);

}  // namespace trainyard
