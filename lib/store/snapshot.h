// A source directory as it was at submit: a manifest (itself an object) and the objects of its files. Equal directories
// have equal ids. Thread-safe.
//
// Manifest, canonical JSON: {"entries": [{"kind": "file"|"symlink"|"directory", "mode": 420, "path": "a/b.py",
// "sha256": "...", "size": 12, "target": "..." (symlink)}...] sorted by path, "schema_version": 1}. Directories are
// listed only when they are empty. The id of a snapshot is the SHA-256 of that text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "store/object_store.h"

namespace trainyard {

struct SnapshotEntry {
  enum class Kind { kFile, kSymlink, kDirectory } kind = Kind::kFile;
  std::string path;
  uint32_t mode = 0644;
  uint64_t size = 0;
  std::string sha256;
  std::string target;
};

struct SnapshotManifest {
  std::string id;
  std::vector<SnapshotEntry> entries;
  uint64_t bytes = 0;
};

// Says which paths stay out: (relative path, is a directory). A directory left out is not entered.
using SnapshotFilter = std::function<bool(const std::string &path, bool directory)>;
// Leaves out .git, .hg, .svn, __pycache__, .ipynb_checkpoints and the top-level outputs/ and logs/ that runs write.
SnapshotFilter DefaultSnapshotFilter();

// Durable when it returns. Files that change meanwhile are taken as they are when read, each whole or not at all.
SnapshotManifest TakeSnapshot(const std::string &directory, ObjectStore *objects,
                              const SnapshotFilter &filter = DefaultSnapshotFilter());
SnapshotManifest LoadSnapshot(const std::string &id, const ObjectStore &objects);
// Into `directory` (made when absent, must not hold any of the paths). Not synced: it can be restored again.
void RestoreSnapshot(const SnapshotManifest &manifest, const ObjectStore &objects, const std::string &directory);

}  // namespace trainyard
