#include "store/snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <filesystem>

#include "util/error.h"
#include "util/json.h"
#include "util/text.h"

namespace trainyard {
namespace {

std::string ReadLink(const std::string &path) {
  std::array<char, PATH_MAX> target;
  const ssize_t size = readlink(path.c_str(), target.data(), target.size());
  if (size < 0) throw Error::FromErrno(errno, "read the symlink", path);
  return {target.data(), static_cast<size_t>(size)};
}

class Taker {
 public:
  Taker(std::string root, ObjectStore *objects, const SnapshotFilter &filter)
      : root_(std::move(root)), objects_(objects), filter_(filter) {}

  void Directory(const std::string &relative) {
    const std::string absolute = relative.empty() ? root_ : root_ + "/" + relative;
    bool empty = true;
    for (const DirEntry &entry : ListDir(absolute)) {
      const std::string path = relative.empty() ? entry.name : relative + "/" + entry.name;
      const bool directory = entry.kind == FileInfo::Kind::kDirectory;
      if (entry.kind == FileInfo::Kind::kOther || (filter_ && filter_(path, directory))) continue;
      if (!IsValidUtf8(path)) {
        throw Error::InvalidArgument(
            "the file name '" + SanitizeUtf8(path) + "' in '" + root_ + "' is not valid UTF-8: rename it",
            {{"path", SanitizeUtf8(path)}});
      }
      empty = false;
      if (directory) {
        Directory(path);
      } else {
        Leaf(path, entry.kind);
      }
    }
    if (empty && !relative.empty()) entries.push_back({SnapshotEntry::Kind::kDirectory, relative, 0755, 0, "", ""});
  }

  std::vector<SnapshotEntry> entries;
  uint64_t bytes = 0;

 private:
  void Leaf(const std::string &path, FileInfo::Kind kind) {
    const std::string absolute = root_ + "/" + path;
    SnapshotEntry entry;
    entry.path = path;
    if (kind == FileInfo::Kind::kSymlink) {
      entry.kind = SnapshotEntry::Kind::kSymlink;
      entry.mode = 0777;
      entry.target = SanitizeUtf8(ReadLink(absolute));
    } else {
      const auto info = Stat(absolute);
      if (!info) return;  // removed while we looked
      // Only who may execute it matters; the rest is the umask of somebody.
      entry.mode = (info->mode & 0100) != 0 ? 0755 : 0644;
      const ObjectInfo object = objects_->PutFile(absolute, /*sync=*/false);
      entry.sha256 = object.sha256;
      entry.size = object.size;
      bytes += object.size;
    }
    entries.push_back(std::move(entry));
  }

  std::string root_;
  ObjectStore *objects_;
  const SnapshotFilter &filter_;
};

std::string ManifestText(const std::vector<SnapshotEntry> &entries) {
  Json list = Json::Array();
  for (const SnapshotEntry &entry : entries) {
    Json item = Json::Object();
    item.Set("path", entry.path).Set("mode", entry.mode);
    switch (entry.kind) {
      case SnapshotEntry::Kind::kFile:
        item.Set("kind", "file").Set("sha256", entry.sha256).Set("size", entry.size);
        break;
      case SnapshotEntry::Kind::kSymlink:
        item.Set("kind", "symlink").Set("target", entry.target);
        break;
      case SnapshotEntry::Kind::kDirectory:
        item.Set("kind", "directory");
        break;
    }
    list.Append(std::move(item));
  }
  return Json::Object().Set("schema_version", 1).Set("entries", std::move(list)).Canonical();
}

}  // namespace

SnapshotFilter DefaultSnapshotFilter() {
  return [](const std::string &path, bool directory) {
    if (!directory) return false;
    const std::string name = BaseName(path);
    return name == ".git" || name == ".hg" || name == ".svn" || name == "__pycache__" || name == ".ipynb_checkpoints" ||
           path == "outputs" || path == "logs";
  };
}

SnapshotManifest TakeSnapshot(const std::string &directory, ObjectStore *objects, const SnapshotFilter &filter) {
  if (!IsDirectory(directory)) {
    throw Error::NotFound("the source directory '" + directory + "' is not there or is no directory",
                          {{"path", directory}});
  }
  Taker taker(AbsolutePath(directory), objects, filter);
  taker.Directory("");
  std::sort(taker.entries.begin(), taker.entries.end(),
            [](const SnapshotEntry &a, const SnapshotEntry &b) { return a.path < b.path; });
  SnapshotManifest manifest;
  manifest.id = objects->PutBytes(ManifestText(taker.entries), /*sync=*/false).sha256;
  manifest.bytes = taker.bytes;
  std::vector<std::string> hashes = {manifest.id};
  for (const SnapshotEntry &entry : taker.entries) {
    if (!entry.sha256.empty()) hashes.push_back(entry.sha256);
  }
  objects->Sync(hashes);
  manifest.entries = std::move(taker.entries);
  return manifest;
}

SnapshotManifest LoadSnapshot(const std::string &id, const ObjectStore &objects) {
  const Json json = Json::Parse(objects.Read(id), "snapshot");
  if (json.GetInt64("schema_version") != 1) {
    throw Error(Status::kVersion, "snapshot '" + id + "' has schema version " +
                                      std::to_string(json.GetInt64("schema_version")) +
                                      ", this library reads 1: use a newer trainyard");
  }
  SnapshotManifest manifest;
  manifest.id = id;
  for (const Json &item : json.Get("entries").Items()) {
    SnapshotEntry entry;
    entry.path = item.GetString("path");
    entry.mode = static_cast<uint32_t>(item.Get("mode").AsInt64(0, 0777));
    if (!IsSafeRelativePath(entry.path))
      throw Error::Corrupt("snapshot '" + id + "' holds the path '" + entry.path + "'");
    const std::string kind = item.GetString("kind");
    if (kind == "symlink") {
      entry.kind = SnapshotEntry::Kind::kSymlink;
      entry.target = item.GetString("target");
    } else if (kind == "directory") {
      entry.kind = SnapshotEntry::Kind::kDirectory;
    } else {
      entry.sha256 = item.GetString("sha256");
      entry.size = item.Get("size").AsUint64();
      manifest.bytes += entry.size;
    }
    manifest.entries.push_back(std::move(entry));
  }
  return manifest;
}

void RestoreSnapshot(const SnapshotManifest &manifest, const ObjectStore &objects, const std::string &directory) {
  MakeDirs(directory);
  std::string made;
  // Symlinks last: nothing is written through one.
  for (const bool symlinks : {false, true}) {
    for (const SnapshotEntry &entry : manifest.entries) {
      if ((entry.kind == SnapshotEntry::Kind::kSymlink) != symlinks) continue;
      const std::string path = directory + "/" + entry.path;
      if (const std::string parent = ParentPath(path); parent != made) {
        MakeDirs(parent);
        made = parent;
      }
      if (entry.kind == SnapshotEntry::Kind::kDirectory) {
        MakeDirs(path);
      } else if (symlinks) {
        if (symlink(entry.target.c_str(), path.c_str()) != 0) throw Error::FromErrno(errno, "create the symlink", path);
      } else {
        objects.Export(entry.sha256, path, entry.mode);
      }
    }
  }
}

}  // namespace trainyard
