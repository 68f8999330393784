#include "store/object_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/error.h"
#include "util/hash.h"
#include "util/random.h"

namespace trainyard {
namespace {

// Putting shares it, removing has it alone: an object that is put again while garbage is collected is either seen as
// fresh, or written anew.
class StoreLock {
 public:
  StoreLock(const std::string &root, int operation) : fd_(OpenFile(root + "/.lock", O_RDWR | O_CREAT, 0600)) {
    while (flock(fd_.get(), operation) != 0) {
      if (errno != EINTR) throw Error::FromErrno(errno, "lock", root + "/.lock");
    }
  }

 private:
  UniqueFd fd_;
};

constexpr uint64_t kSmall = uint64_t{4} << 20;

class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  TemporaryFile(const TemporaryFile &) = delete;
  TemporaryFile &operator=(const TemporaryFile &) = delete;
  ~TemporaryFile() { unlink(path_.c_str()); }
  const std::string &path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

std::string ObjectStore::Path(std::string_view sha256) const {
  if (!IsSha256Hex(sha256))
    throw Error::InvalidArgument("'" + std::string(sha256.substr(0, 80)) +
                                 "' is not a SHA-256 in lower-case hexadecimal");
  return root_ + "/" + std::string(sha256.substr(0, 2)) + "/" + std::string(sha256.substr(2));
}

std::string ObjectStore::TemporaryPath() const {
  MakeDirs(root_ + "/tmp");
  return root_ + "/tmp/" + RandomBase32(16);
}

// Marks an object that is there as fresh; false when it is not there.
bool ObjectStore::Touch(const std::string &sha256) const {
  if (utimensat(AT_FDCWD, Path(sha256).c_str(), nullptr, 0) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  throw Error::FromErrno(errno, "touch", Path(sha256));
}

// Without the owner's write permission an object is durable; the mark itself may be lost, which costs one more fsync.
void ObjectStore::SyncAndMark(int fd) const {
  if (fsync(fd) != 0) throw Error::FromErrno(errno, "sync the objects in", root_);
  if (fchmod(fd, 0400) != 0) throw Error::FromErrno(errno, "change the mode of the objects in", root_);
}

bool ObjectStore::Adopt(const std::string &temporary, const std::string &sha256) {
  const StoreLock lock(root_, LOCK_SH);
  if (Touch(sha256)) return false;
  if (chmod(temporary.c_str(), 0600) != 0) throw Error::FromErrno(errno, "change the mode of", temporary);
  if (utimensat(AT_FDCWD, temporary.c_str(), nullptr, 0) != 0) throw Error::FromErrno(errno, "touch", temporary);
  const std::string path = Path(sha256);
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    if (errno != ENOENT) throw Error::FromErrno(errno, "rename to '" + path + "'", temporary);
    MakeDirs(ParentPath(path));
    RenamePath(temporary, path);
  }
  return true;
}

ObjectInfo ObjectStore::PutBytes(std::string_view data, bool sync) {
  ObjectInfo info{Sha256Hex(data), data.size()};
  bool there = false;
  {
    MakeDirs(root_);
    const StoreLock lock(root_, LOCK_SH);
    there = Touch(info.sha256);
  }
  if (!there) {
    const TemporaryFile temporary(TemporaryPath());
    const UniqueFd fd = OpenFile(temporary.path(), O_WRONLY | O_CREAT | O_EXCL, 0600);
    WriteAll(fd.get(), data.data(), data.size(), temporary.path());
    Adopt(temporary.path(), info.sha256);
  }
  if (sync) Sync({info.sha256});
  return info;
}

ObjectInfo ObjectStore::PutFile(const std::string &path, bool sync) {
  const UniqueFd source = OpenFile(path, O_RDONLY | O_NONBLOCK);  // a FIFO must not block
  struct stat stat_info {};
  if (fstat(source.get(), &stat_info) != 0) throw Error::FromErrno(errno, "stat", path);
  if (!S_ISREG(stat_info.st_mode))
    throw Error::InvalidArgument("'" + path + "' is not a regular file", {{"path", path}});
  if (static_cast<uint64_t>(stat_info.st_size) <= kSmall) {
    // One read: what is hashed is what is kept, even when somebody writes it meanwhile.
    std::string data(static_cast<size_t>(stat_info.st_size) + 1, '\0');
    data.resize(ReadAt(source.get(), data.data(), data.size(), 0, path));
    if (data.size() <= static_cast<size_t>(stat_info.st_size)) return PutBytes(data, sync);
  }
  MakeDirs(root_);
  const TemporaryFile temporary(TemporaryPath());
  {
    const UniqueFd fd = OpenFile(temporary.path(), O_WRONLY | O_CREAT | O_EXCL, 0600);
    CopyFd(source.get(), fd.get(), path, temporary.path());
  }
  ObjectInfo info;
  info.sha256 = Sha256File(temporary.path(), &info.size);
  Adopt(temporary.path(), info.sha256);
  if (sync) Sync({info.sha256});
  return info;
}

ObjectInfo ObjectStore::PutFileByMove(const std::string &path, bool sync) {
  MakeDirs(root_);
  const TemporaryFile temporary(TemporaryPath());
  if (rename(path.c_str(), temporary.path().c_str()) != 0) {
    if (errno != EXDEV) throw Error::FromErrno(errno, "move into the workspace", path);
    const ObjectInfo info = PutFile(path, sync);
    RemoveFile(path);
    return info;
  }
  ObjectInfo info;
  info.sha256 = Sha256File(temporary.path(), &info.size);
  Adopt(temporary.path(), info.sha256);
  if (sync) Sync({info.sha256});
  return info;
}

void ObjectStore::Sync(const std::vector<std::string> &hashes) {
  // Writing starts for all of them before any is waited for; then the first fsync commits what they have in common.
  std::vector<UniqueFd> files;
  std::set<std::string> directories;
  for (const std::string &hash : hashes) {
    const std::string path = Path(hash);
    UniqueFd file = OpenFile(path, O_RDONLY);
    struct stat info {};
    if (fstat(file.get(), &info) != 0) throw Error::FromErrno(errno, "stat", path);
    if ((info.st_mode & 0200) == 0) continue;  // synced before
    directories.insert(ParentPath(path));
    if (files.size() < 256) {
      sync_file_range(file.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
      files.push_back(std::move(file));
    } else {
      SyncAndMark(file.get());
    }
  }
  if (files.empty()) return;
  const std::string kind = GetFileSystemKind(root_).name;
  if (kind == "ext4" || kind == "xfs") {
    SyncTogether(files);
    return;
  }
  for (const UniqueFd &file : files) SyncAndMark(file.get());
  if (kind == "btrfs") return;  // an fsync of the file makes its new name durable too
  for (const std::string &directory : directories) SyncDirectory(directory);
  SyncDirectory(root_);
}

// These file systems write one log in order: once the files' own writes have ended, the fsync of a file that changed
// after them puts everything before it on the disk, new names included, with one flush of the disk's cache instead of
// one a file.
void ObjectStore::SyncTogether(const std::vector<UniqueFd> &files) const {
  constexpr unsigned kWait = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  for (const UniqueFd &file : files) {
    if (sync_file_range(file.get(), 0, 0, kWait) != 0) throw Error::FromErrno(errno, "sync the objects in", root_);
  }
  const std::string last = root_ + "/.lock";
  const UniqueFd fd = OpenFile(last, O_RDWR | O_CREAT, 0600);
  const int64_t now = MonotonicNs();
  if (pwrite(fd.get(), &now, sizeof now, 0) < 0 || fsync(fd.get()) != 0) throw Error::FromErrno(errno, "sync", last);
  for (const UniqueFd &file : files) {
    if (fchmod(file.get(), 0400) != 0) throw Error::FromErrno(errno, "change the mode of the objects in", root_);
  }
}

bool ObjectStore::Has(std::string_view sha256) const {
  return PathExists(Path(sha256));
}

UniqueFd ObjectStore::Open(std::string_view sha256) const {
  return OpenFile(Path(sha256), O_RDONLY);
}

std::string ObjectStore::Read(std::string_view sha256) const {
  return ReadFile(Path(sha256));
}

void ObjectStore::Export(std::string_view sha256, const std::string &to, uint32_t mode, bool replace) const {
  const UniqueFd source = Open(sha256);
  const std::string target = replace ? to + ".tmp-" + RandomBase32(10) : to;
  const UniqueFd fd = OpenFile(target, O_WRONLY | O_CREAT | O_EXCL, mode | 0200);
  try {
    CopyFd(source.get(), fd.get(), Path(sha256), to);
    if (fchmod(fd.get(), mode) != 0) throw Error::FromErrno(errno, "change the mode of", to);
    if (replace) RenamePath(target, to);
  } catch (...) {
    unlink(target.c_str());
    throw;
  }
}

void ObjectStore::Verify(std::string_view sha256) const {
  const std::string path = Path(sha256);
  if (Sha256File(path) != sha256) {
    throw Error::Corrupt("'" + path + "' does not have the content that its name says: the disk or somebody changed it",
                         {{"path", path}});
  }
}

GarbageReport ObjectStore::CollectGarbage(const std::set<std::string> &referenced, bool dry_run, int64_t grace_ms) {
  GarbageReport report;
  if (!IsDirectory(root_)) return report;
  const int64_t oldest = NowUnixMs() - grace_ms;
  for (const DirEntry &directory : ListDir(root_)) {
    if (directory.kind != FileInfo::Kind::kDirectory) continue;
    const std::string parent = root_ + "/" + directory.name;
    for (const DirEntry &file : ListDir(parent)) {
      const bool temporary = directory.name == "tmp";
      const std::string hash = directory.name + file.name;
      if (!temporary && (!IsSha256Hex(hash) || referenced.contains(hash))) continue;
      const std::string path = parent + "/" + file.name;
      const StoreLock lock(root_, dry_run ? LOCK_SH : LOCK_EX);
      const auto info = Stat(path);
      if (!info || info->modified_ms > oldest) continue;
      ++report.count;
      report.bytes += info->size;
      report.names.push_back(temporary ? "tmp/" + file.name : hash);
      if (!dry_run) RemoveFile(path);
    }
  }
  return report;
}

}  // namespace trainyard
