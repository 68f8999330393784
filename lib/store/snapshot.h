// A source directory as it was at submit: a manifest (itself an object) and the objects of its files. Equal directories
// have equal ids. What is not taken along, and what is refused: store/source_scan.h. Thread-safe.
//
// Manifest, canonical JSON: {"entries": [{"kind": "file"|"symlink"|"directory", "mode": 420, "path": "a/b.py",
// "sha256": "...", "size": 12, "target": "..." (symlink)}...] sorted by path, "schema_version": 1}. Directories are
// listed when they are empty or when their mode is not 0755. The id of a snapshot is the SHA-256 of that text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/snapshot_limits.h"
#include "store/object_store.h"
#include "store/source_scan.h"

namespace trainyard {

struct SnapshotManifest {
  std::string id;
  std::vector<SnapshotEntry> entries;
  uint64_t bytes = 0;
};

struct SnapshotRequest {
  std::string directory;
  SnapshotLimits limits;
  // Stays out when it lies in the directory; what is known of unchanged files is kept in it. Empty = none.
  std::string workspace;
};

struct SnapshotReport {
  uint64_t files = 0, bytes = 0;
  uint64_t read_files = 0, read_bytes = 0;  // of those, what was not known from before
  std::vector<std::string> warnings;        // what looks like a secret, what was left out
};

// Durable when it returns. A file that changes meanwhile is taken as it is when it is read; one that grows, up to the
// size it had; one that vanishes is not in it. Errors: those of ScanSource; kNoSpace; kIo.
SnapshotManifest TakeSnapshot(const SnapshotRequest &request, ObjectStore *objects, SnapshotReport *report = nullptr);
// The same without taking anything.
SnapshotReport InspectSource(const SnapshotRequest &request);

std::string ManifestText(const std::vector<SnapshotEntry> &entries);
SnapshotManifest LoadSnapshot(const std::string &id, const ObjectStore &objects);
// Into `directory` (made when absent, must not hold any of the paths): contents, modes, empty directories and symlinks
// as they were taken. Not synced: it can be restored again.
void RestoreSnapshot(const SnapshotManifest &manifest, const ObjectStore &objects, const std::string &directory);

}  // namespace trainyard
