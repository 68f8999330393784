#include "store/log_tail.h"

#include <sys/stat.h>

#include <algorithm>

#include "util/error.h"
#include "util/fs.h"
#include "util/inside.h"

namespace trainyard {

LogSlice ReadLog(const RunLayout &run, int rank, int rank_count, int64_t offset, uint64_t max_bytes) {
  const std::string path = run.StdLog(rank, rank_count);
  LogSlice slice;
  const UniqueFd fd = OpenRegularFile(path);
  if (!fd.valid()) {
    slice.next_offset = offset > 0 ? static_cast<uint64_t>(offset) : 0;
    return slice;
  }
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) throw Error::FromErrno(errno, "stat", path);
  slice.size = static_cast<uint64_t>(info.st_size);
  const uint64_t start = offset >= 0 ? static_cast<uint64_t>(offset)
                                     : slice.size - std::min(slice.size, uint64_t{0} - static_cast<uint64_t>(offset));
  const uint64_t left = slice.size > start ? slice.size - start : 0;
  slice.data.resize(std::min(left, max_bytes));
  slice.data.resize(ReadAt(fd.get(), slice.data.data(), slice.data.size(), start, path));
  slice.next_offset = start + slice.data.size();
  return slice;
}

}  // namespace trainyard
