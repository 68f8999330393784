// Files by content: objects/ab/cdef... where abcdef... is the SHA-256. An object is written beside its place, hashed as
// it was written, and renamed in: never half there, never a hard link to a file somebody may still write. Thread-safe,
// and safe among processes.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "store/layout.h"
#include "util/fs.h"

namespace trainyard {

struct ObjectInfo {
  std::string sha256;
  uint64_t size = 0;
};

struct GarbageReport {
  int64_t count = 0;
  uint64_t bytes = 0;
  std::vector<std::string> names;  // hashes
};

class ObjectStore {
 public:
  // An unreferenced object is kept this long after it was last put, so that a submit under way loses nothing.
  static constexpr int64_t kGraceMs = 3600 * 1000;

  explicit ObjectStore(const Layout &layout) : root_(layout.Objects()) {}

  // Content of `path` (reflink where possible). Without `sync` the caller calls Sync() before it refers to the object.
  ObjectInfo PutFile(const std::string &path, bool sync = true);
  // The file itself goes in (renamed; copied from another file system); afterwards `path` is gone.
  ObjectInfo PutFileByMove(const std::string &path, bool sync = true);
  ObjectInfo PutBytes(std::string_view data, bool sync = true);
  // Makes these objects durable, together much cheaper than one by one.
  void Sync(const std::vector<std::string> &hashes);

  bool Has(std::string_view sha256) const;
  std::string Path(std::string_view sha256) const;  // Error kInvalidArgument for no hash
  UniqueFd Open(std::string_view sha256) const;     // Error kNotFound
  std::string Read(std::string_view sha256) const;
  // Copies the object to `to` (reflink where possible) with `mode`.
  void Export(std::string_view sha256, const std::string &to, uint32_t mode = 0644, bool replace = false) const;
  // Reads it again; Error kCorrupt naming the file when the content does not match.
  void Verify(std::string_view sha256) const;

  // Removes what is not in `referenced` and older than the grace; a dry run only reports.
  GarbageReport CollectGarbage(const std::set<std::string> &referenced, bool dry_run, int64_t grace_ms = kGraceMs);

 private:
  bool Adopt(const std::string &temporary, const std::string &sha256);
  std::string TemporaryPath() const;
  bool Touch(const std::string &sha256) const;
  void SyncAndMark(int fd) const;
  void SyncTogether(const std::vector<UniqueFd> &files) const;

  std::string root_;
};

}  // namespace trainyard
