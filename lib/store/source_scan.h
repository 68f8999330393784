// What is in a source directory and belongs into a snapshot: a walk by the ignore rules that reads no content.
// Thread-safe.
//
// Rules: some names that are nobody's source stay out (.git, __pycache__, outputs/ and logs/ at the top, ...). Then the
// lines of .amlignore at the top, or, when there is none, of the .gitignore files at every level. Both may take back in
// what the names leave out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/snapshot_limits.h"

namespace trainyard {

struct SnapshotEntry {
  enum class Kind { kFile, kSymlink, kDirectory } kind = Kind::kFile;
  std::string path;
  uint32_t mode = 0644;  // permission bits
  uint64_t size = 0;
  std::string sha256;
  std::string target;
};

// What changes when a file does.
struct FileStamp {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t modified_ns = 0, changed_ns = 0;
  bool operator==(const FileStamp &) const = default;
};

struct SourceEntry {
  SnapshotEntry entry;  // of a file without its hash
  FileStamp stamp;
};

struct SourceScan {
  std::vector<SourceEntry> entries;  // sorted by path; directories only when empty or of another mode than 0755
  uint64_t files = 0, bytes = 0;
  std::vector<std::string> warnings;  // sockets, pipes and devices are left out
  std::string ignore_file;            // ".amlignore" or ".gitignore": where one more line belongs
};

// `workspace` stays out when it lies in the directory (empty = none). Error kInvalidArgument: more than the limits
// allow (says what is large and which lines drop it), a symlink that leaves the directory, a name that is no UTF-8;
// kPermission: what cannot be read; kNotFound: no such directory.
SourceScan ScanSource(const std::string &directory, const SnapshotLimits &limits, const std::string &workspace);

// The same advice for what cannot be read: "...: make it readable, or leave it out with the line /x in .amlignore".
[[noreturn]] void ThrowUnreadable(int number, const std::string &root, const std::string &path, bool directory,
                                  const std::string &ignore_file);

}  // namespace trainyard
