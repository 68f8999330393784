// Files by content: objects/ab/cdef... where abcdef... is the SHA-256. An object is written beside its place, hashed as
// it was written, and renamed in: never half there, never a hard link to a file somebody may still write. Thread-safe,
// and safe among processes.
//
//   objects/.lock         shared by who puts, exclusive for who removes
//   objects/.generation   changed before anything is removed
//   objects/held/<hash>   a list of objects that somebody is about to refer to; its time says since when
//   objects/tmp/
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

  explicit ObjectStore(const Layout &layout);

  // Content of `path` (reflink where possible), up to the size it has now when it grows meanwhile. Without `sync` the
  // caller calls Sync() before it refers to the object.
  ObjectInfo PutFile(const std::string &path, bool sync = true);
  // The file itself goes in (renamed; copied from another file system); afterwards `path` is gone.
  ObjectInfo PutFileByMove(const std::string &path, bool sync = true);
  ObjectInfo PutBytes(std::string_view data, bool sync = true);
  // Makes these objects durable, together much cheaper than one by one.
  void Sync(const std::vector<std::string> &hashes);

  // For sets of objects that are not put again one by one (snapshots of unchanged files). Objects only go away in a
  // garbage collection, and each of those makes a new generation first: what was there in a generation is there as long
  // as it lasts.
  std::string Generation() const;
  // Keeps the list object `list` and what it names for the grace, from any garbage collection that starts from now on.
  // False: a collection has started since `generation`, and some of it may be gone.
  bool Hold(const std::string &list, const std::string &generation);
  // Keeps one object for the grace; false when it is not there.
  bool Refresh(const std::string &sha256);

  bool Has(std::string_view sha256) const;
  std::string Path(std::string_view sha256) const;  // Error kInvalidArgument for no hash
  UniqueFd Open(std::string_view sha256) const;     // Error kNotFound
  std::string Read(std::string_view sha256) const;
  // Copies the object to `to` (reflink where possible) with `mode`.
  void Export(std::string_view sha256, const std::string &to, uint32_t mode = 0644, bool replace = false) const;
  // Reads it again; Error kCorrupt naming the file when the content does not match.
  void Verify(std::string_view sha256) const;

  // Removes what is not in `referenced` and older than the grace; a dry run only reports. `expand` adds what a held
  // list names.
  using Expand = std::function<void(const std::string &list, std::set<std::string> *referenced)>;
  GarbageReport CollectGarbage(std::set<std::string> referenced, bool dry_run, int64_t grace_ms = kGraceMs,
                               const Expand &expand = {});

 private:
  bool Adopt(const std::string &temporary, const std::string &sha256);
  ObjectInfo CopyIn(int source, uint64_t size, const std::string &path, const std::string &temporary);
  void NewGeneration() const;
  std::set<std::string> HeldLists(int64_t oldest, bool dry_run) const;
  std::string TemporaryPath() const;
  bool Touch(const std::string &sha256) const;
  void SyncEach(const std::vector<std::string> &paths) const;
  void SyncTogether(const std::vector<std::string> &paths) const;
  void SyncEverything() const;
  void Mark(const std::vector<std::string> &paths) const;

  std::string root_;
};

}  // namespace trainyard
