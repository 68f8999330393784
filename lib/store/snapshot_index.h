// What is known of the files of one source directory since its last snapshot, so that unchanged files are neither read
// nor copied again: <workspace>/cache/snapshots/<from the directory's path>. A value; thread-safe. Processes that take
// snapshots of one directory at a time replace each other's file whole, and either is right.
//
// A file is unchanged when device, inode, size and both times (content, inode) are what they were, and both are older
// by some margin than the moment the file was looked at: a change within the clock's step after that look would
// leave no trace, so an entry too young for it is kept without a hash.
//
// File: 8 bytes magic, CRC-32 of the rest, then (native byte order; a cache of this machine) number of entries, the
// object store's generation, the snapshot's id and the digest of its list, and per file a fixed record and its path. A
// file that is not whole is taken as absent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/secret_rules.h"
#include "store/source_scan.h"

namespace trainyard {

struct IndexedFile {
  std::string path;
  FileStamp stamp;
  std::string sha256;  // empty: too young, to be read again
  SecretKind secret = SecretKind::kNone;
};

struct SnapshotIndex {
  static constexpr int64_t kMarginNs = 2000000000;  // the coarsest clock of a file system in use (FAT)

  std::string generation;          // of the object store, when all objects named here were in it
  std::string snapshot_id;         // empty: nothing is known
  std::string list_digest;         // of the snapshot's entries
  std::vector<IndexedFile> files;  // sorted by path

  static std::string Path(const std::string &workspace, const std::string &directory);
  static SnapshotIndex Load(const std::string &path);  // empty when absent or damaged
  void Save(const std::string &path) const;
};

}  // namespace trainyard
