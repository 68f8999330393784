// Unpacking archives that came from somewhere. A decoder that is led astray by one must not have the supervisor's
// memory, where secrets are: UnpackArchive does it in a process of its own (`trainyard-runner unpack`).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace trainyard {

struct UnpackLimits {
  uint64_t max_entries = 5000000;
  // Of all that is unpacked: so many times the archive's own size, and no less than this is allowed.
  uint64_t max_ratio = 1000;
  uint64_t min_bytes = uint64_t{1} << 30;
  // Of the names and targets of symlinks, which are kept in memory until all else is there.
  uint64_t max_link_bytes = uint64_t{128} << 20;
  // Folders within folders: whoever removes them later has an open descriptor for each level.
  size_t max_depth = 200;
};

// Whether a file of this name is one: .zip, .tar, and tar compressed by gzip, bzip2, xz, zstd, lz4 or compress.
bool IsArchiveName(std::string_view name);

// Unpacks into `directory`, which must not exist and is there only when all went well. Nothing gets outside of it:
// absolute paths, "..", symlinks and hard links that lead out, devices, pipes and sockets are Error kCorrupt that names
// the entry; so are a damaged archive, one that was cut short, even between two entries, and one beyond the limits. No
// file is setuid, setgid or sticky. `shown` is what messages call the archive; `marker` and `go_on`: BuildTools.
// Thread-safe.
void UnpackArchive(const std::string &archive, const std::string &shown, const std::string &directory,
                   const std::string &marker, const std::function<bool()> &go_on);

// The same into the working directory, in this process; what was unpacked before an error stays. For the process that
// UnpackArchive starts, and tests.
void UnpackHere(const std::string &archive, const std::string &shown, const UnpackLimits &limits = {});

// `trainyard-runner unpack ARCHIVE SHOWN`: its exit status. An error goes to standard output, as JSON.
int UnpackTask(const std::string &archive, const std::string &shown);

}  // namespace trainyard
