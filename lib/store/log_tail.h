// Reading a rank's log by offset, while it grows. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "store/layout.h"

namespace trainyard {

struct LogSlice {
  std::string data;          // raw bytes
  uint64_t next_offset = 0;  // where to go on
  uint64_t size = 0;         // of the file now
};

// Up to `max_bytes` from `offset`; a log that is not there yet, or that its rank has
// put a pipe or a link in the place of, is empty. A negative offset counts from the end.
LogSlice ReadLog(const RunLayout &run, int rank, int rank_count, int64_t offset, uint64_t max_bytes);

}  // namespace trainyard
