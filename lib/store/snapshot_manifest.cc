// Manifests as text, and directories made from them.
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <set>

#include "store/snapshot.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/json.h"

namespace trainyard {
namespace {

constexpr uint32_t kUsualMode = 0755;

// All directories of the manifest, parents first, with their modes.
std::map<std::string, uint32_t> DirectoriesOf(const SnapshotManifest &manifest) {
  std::map<std::string, uint32_t> directories;
  for (const SnapshotEntry &entry : manifest.entries) {
    for (size_t slash = entry.path.find('/'); slash != std::string::npos; slash = entry.path.find('/', slash + 1)) {
      directories.emplace(entry.path.substr(0, slash), kUsualMode);
    }
    if (entry.kind == SnapshotEntry::Kind::kDirectory) directories[entry.path] = entry.mode;
  }
  return directories;
}

void SetMode(const std::string &path, uint32_t mode) {
  if (chmod(path.c_str(), mode) != 0) throw Error::FromErrno(errno, "change the mode of", path);
}

}  // namespace

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
  // Modes of directories last: one that must not be written is filled first.
  const std::map<std::string, uint32_t> directories = DirectoriesOf(manifest);
  for (const auto &[path, mode] : directories) MakeDirs(directory + "/" + path);
  for (const SnapshotEntry &entry : manifest.entries) {
    if (entry.kind == SnapshotEntry::Kind::kFile)
      objects.Export(entry.sha256, directory + "/" + entry.path, entry.mode);
  }
  // Symlinks after the files: nothing is written through one.
  for (const SnapshotEntry &entry : manifest.entries) {
    if (entry.kind != SnapshotEntry::Kind::kSymlink) continue;
    const std::string path = directory + "/" + entry.path;
    if (symlink(entry.target.c_str(), path.c_str()) != 0) throw Error::FromErrno(errno, "create the symlink", path);
  }
  for (auto at = directories.rbegin(); at != directories.rend(); ++at) SetMode(directory + "/" + at->first, at->second);
}

}  // namespace trainyard
