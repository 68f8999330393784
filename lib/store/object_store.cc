#include "store/object_store.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

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
constexpr size_t kCopyBuffer = size_t{1} << 20;
constexpr size_t kManyFiles = 64;  // from here on one sync of the whole file system is cheaper than one for each
constexpr size_t kGenerationBytes = 16;

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

// The first generation is made while there is room for it.
ObjectStore::ObjectStore(const Layout &layout) : root_(layout.Objects()) {
  if (!IsDirectory(root_) || PathExists(root_ + "/.generation")) return;
  try {
    NewGeneration();
  } catch (const Error &error) {
    if (error.status() != Status::kPermission && error.status() != Status::kNoSpace)
      throw;  // to look at it, or too late
  }
}

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
  const auto size = static_cast<uint64_t>(stat_info.st_size);
  if (size <= kSmall) {
    // One read: what is hashed is what is kept, even when somebody writes it meanwhile. Known content costs no write.
    std::string data(static_cast<size_t>(size), '\0');
    data.resize(ReadAt(source.get(), data.data(), data.size(), 0, path));
    return PutBytes(data, sync);
  }
  MakeDirs(root_);
  const TemporaryFile temporary(TemporaryPath());
  const ObjectInfo info = CopyIn(source.get(), size, path, temporary.path());
  Adopt(temporary.path(), info.sha256);
  if (sync) Sync({info.sha256});
  return info;
}

// A reflink is hashed afterwards, a copy while it is written: each byte is read once.
ObjectInfo ObjectStore::CopyIn(int source, uint64_t size, const std::string &path, const std::string &temporary) {
  const UniqueFd fd = OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
  ObjectInfo info;
  if (ioctl(fd.get(), FICLONE, source) == 0) {
    info.sha256 = Sha256File(temporary, &info.size);
    return info;
  }
  Sha256 hash;
  std::vector<char> buffer(kCopyBuffer);
  while (info.size < size) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(buffer.size(), size - info.size));
    const size_t got = ReadAt(source, buffer.data(), wanted, info.size, path);
    if (got == 0) break;
    hash.Update(buffer.data(), got);
    WriteAll(fd.get(), buffer.data(), got, temporary);
    info.size += got;
  }
  info.sha256 = hash.HexDigest();
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
  std::vector<std::string> paths;
  for (const std::string &hash : hashes) {
    std::string path = Path(hash);
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) throw Error::FromErrno(errno, "stat", path);
    if ((info.st_mode & 0200) != 0) paths.push_back(std::move(path));  // else synced before
  }
  if (paths.empty()) return;
  const FileSystemKind kind = GetFileSystemKind(root_);
  if (kind.name == "ext4" || kind.name == "xfs") {
    SyncTogether(paths);
  } else if (paths.size() >= kManyFiles && !kind.network) {
    SyncEverything();
  } else {
    SyncEach(paths);
    // On btrfs an fsync of the file makes its new name durable too.
    if (kind.name != "btrfs") {
      std::set<std::string> directories = {root_};
      for (const std::string &path : paths) directories.insert(ParentPath(path));
      for (const std::string &directory : directories) SyncDirectory(directory);
    }
  }
  Mark(paths);
}

// Without the owner's write permission an object is durable; the mark itself may be lost, which costs one more sync.
void ObjectStore::Mark(const std::vector<std::string> &paths) const {
  for (const std::string &path : paths) {
    if (chmod(path.c_str(), 0400) != 0) throw Error::FromErrno(errno, "change the mode of", path);
  }
}

void ObjectStore::SyncEach(const std::vector<std::string> &paths) const {
  for (const std::string &path : paths) SyncFile(path);
}

void ObjectStore::SyncEverything() const {
  const UniqueFd fd = OpenFile(root_, O_RDONLY | O_DIRECTORY);
  if (syncfs(fd.get()) != 0) throw Error::FromErrno(errno, "sync the file system of", root_);
}

// These file systems write one log in order: once the files' own writes have ended, the fsync of a file that changed
// after them puts everything before it on the disk, new names included, with one flush of the disk's cache instead of
// one a file. Writing starts for all of them before any is waited for.
void ObjectStore::SyncTogether(const std::vector<std::string> &paths) const {
  constexpr unsigned kWait = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  for (const unsigned how : {static_cast<unsigned>(SYNC_FILE_RANGE_WRITE), kWait}) {
    for (const std::string &path : paths) {
      const UniqueFd file = OpenFile(path, O_RDONLY);
      if (sync_file_range(file.get(), 0, 0, how) != 0) throw Error::FromErrno(errno, "sync", path);
    }
  }
  const std::string last = root_ + "/.lock";
  const UniqueFd fd = OpenFile(last, O_RDWR | O_CREAT, 0600);
  const int64_t now = MonotonicNs();
  if (pwrite(fd.get(), &now, sizeof now, 0) < 0 || fsync(fd.get()) != 0) throw Error::FromErrno(errno, "sync", last);
}

std::string ObjectStore::Generation() const {
  return ReadFileIfExists(root_ + "/.generation", kGenerationBytes).value_or("");
}

// In place, where it needs no room: a full disk is what collections are for. Torn, it is a new one, too.
void ObjectStore::NewGeneration() const {
  const std::string path = root_ + "/.generation";
  const UniqueFd fd = OpenFile(path, O_WRONLY | O_CREAT, 0600);
  const std::string generation = RandomBase32(kGenerationBytes);
  WriteAll(fd.get(), generation.data(), generation.size(), path);
}

bool ObjectStore::Hold(const std::string &list, const std::string &generation) {
  MakeDirs(root_ + "/held");
  const StoreLock lock(root_, LOCK_SH);
  const std::string path = root_ + "/held/" + list;
  const UniqueFd fd = OpenFile(path, O_WRONLY | O_CREAT, 0600);
  if (futimens(fd.get(), nullptr) != 0) throw Error::FromErrno(errno, "touch", path);
  return Touch(list) && Generation() == generation;
}

bool ObjectStore::Refresh(const std::string &sha256) {
  MakeDirs(root_);
  const StoreLock lock(root_, LOCK_SH);
  return Touch(sha256);
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

// Those held since `oldest`; marks from before are removed.
std::set<std::string> ObjectStore::HeldLists(int64_t oldest, bool dry_run) const {
  std::set<std::string> held;
  const std::string directory = root_ + "/held";
  if (!IsDirectory(directory)) return held;
  for (const DirEntry &entry : ListDir(directory)) {
    const auto info = Stat(directory + "/" + entry.name);
    if (info && info->modified_ms > oldest) {
      held.insert(entry.name);
    } else if (!dry_run) {
      RemoveFile(directory + "/" + entry.name);
    }
  }
  return held;
}

GarbageReport ObjectStore::CollectGarbage(std::set<std::string> referenced, bool dry_run, int64_t grace_ms,
                                          const Expand &expand) {
  GarbageReport report;
  if (!IsDirectory(root_)) return report;
  const int64_t oldest = NowUnixMs() - grace_ms;
  std::set<std::string> held;
  {
    const StoreLock lock(root_, dry_run ? LOCK_SH : LOCK_EX);
    if (!dry_run) NewGeneration();
    held = HeldLists(oldest, dry_run);
  }
  for (const std::string &list : held) {
    referenced.insert(list);
    if (expand) expand(list, &referenced);
  }
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
