#include "util/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <utility>

#include "util/error.h"
#include "util/random.h"
#include "util/text.h"

namespace trainyard {
namespace {

FileInfo::Kind KindOf(mode_t mode) {
  if (S_ISREG(mode)) return FileInfo::Kind::kFile;
  if (S_ISDIR(mode)) return FileInfo::Kind::kDirectory;
  if (S_ISLNK(mode)) return FileInfo::Kind::kSymlink;
  return FileInfo::Kind::kOther;
}

void RemoveTreeAt(int parent, const char *name, const std::string &path) {
  if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return;
  if (errno != EISDIR && errno != EPERM) throw Error::FromErrno(errno, "remove", path);
  {
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES) {
      // A directory without permissions that is ours can be opened up.
      fchmodat(parent, name, 0700, 0);
      fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0) throw Error::FromErrno(errno, "remove", path);
    struct stat info {};
    if (fstat(fd, &info) == 0 && (info.st_mode & 0700) != 0700) fchmod(fd, info.st_mode | 0700);
    const std::unique_ptr<DIR, int (*)(DIR *)> directory(fdopendir(fd), closedir);
    if (!directory) {
      close(fd);
      throw Error::FromErrno(ENOMEM, "list", path);
    }
    std::vector<std::string> names;
    while (const dirent *entry = readdir(directory.get())) {
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) names.emplace_back(entry->d_name);
    }
    for (const std::string &child : names) RemoveTreeAt(fd, child.c_str(), path + "/" + child);
  }
  if (unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) throw Error::FromErrno(errno, "remove", path);
}

void ListTreeInto(const std::string &root, const std::string &relative, std::vector<std::string> *out) {
  for (const DirEntry &entry : ListDir(relative.empty() ? root : root + "/" + relative)) {
    const std::string path = relative.empty() ? entry.name : relative + "/" + entry.name;
    if (entry.kind == FileInfo::Kind::kDirectory) {
      ListTreeInto(root, path, out);
    } else if (entry.kind != FileInfo::Kind::kOther) {
      out->push_back(path);
    }
  }
}

// Global because the workspace asks for its file system in its constructor; tests only.
std::mutex g_kind_mutex;
std::function<FileSystemKind(const std::string &)> g_kind_answer;

constexpr int kMaxLinks = 40;  // as many as the kernel follows

struct KnownFileSystem {
  uint32_t magic;
  bool network;
  const char *name;
};

// Magic numbers of statfs(2). FUSE is taken as remote: sshfs, s3fs and the like look alike from here.
constexpr KnownFileSystem kFileSystems[] = {
    {0xEF53, false, "ext4"},      {0x58465342, false, "xfs"},      {0x9123683E, false, "btrfs"},
    {0x01021994, false, "tmpfs"}, {0x794C7630, false, "overlay"},  {0xF2F52010, false, "f2fs"},
    {0x2FC12FC1, false, "zfs"},   {0xCA451A4E, false, "bcachefs"}, {0x858458F6, false, "ramfs"},
    {0x6969, true, "nfs"},        {0xFF534D42, true, "cifs"},      {0xFE534D42, true, "smb2"},
    {0x517B, true, "smb"},        {0x65735546, true, "fuse"},      {0x0BD00BD0, true, "lustre"},
    {0x00C36400, true, "ceph"},   {0x47504653, true, "gpfs"},      {0x01021997, true, "9p"},
    {0x19830326, true, "beegfs"}, {0x5346414F, true, "afs"},       {0x73757245, true, "coda"},
    {0x01161970, true, "gfs2"},   {0x7461636F, true, "ocfs2"},     {0xAAD7AAEA, true, "panfs"},
    {0x786F4256, true, "vboxsf"}, {0xBACBACBC, true, "vmhgfs"},    {0x20030528, true, "orangefs"},
};

}  // namespace

void UniqueFd::Reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

UniqueFd OpenFile(const std::string &path, int flags, mode_t mode) {
  for (;;) {
    const int fd = open(path.c_str(), flags | O_CLOEXEC, mode);
    if (fd >= 0) return UniqueFd(fd);
    if (errno != EINTR) throw Error::FromErrno(errno, (flags & O_CREAT) != 0 ? "create" : "open", path);
  }
}

std::string ReadFile(const std::string &path, uint64_t max_bytes) {
  // Opening a pipe must not wait for a writer.
  const UniqueFd fd = OpenFile(path, O_RDONLY | O_NONBLOCK);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) throw Error::FromErrno(errno, "stat", path);
  std::string data;
  data.resize(S_ISREG(info.st_mode) && static_cast<uint64_t>(info.st_size) <= max_bytes
                  ? static_cast<size_t>(info.st_size) + 1
                  : 4096);
  size_t used = 0;
  for (;;) {
    if (used == data.size()) data.resize(data.size() * 2);
    const ssize_t got = read(fd.get(), data.data() + used, data.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error::FromErrno(errno, "read", path);
    if (got == 0) break;
    used += static_cast<size_t>(got);
    if (used > max_bytes) {
      throw Error(Status::kCorrupt, "'" + path + "' is larger than " + std::to_string(max_bytes) + " bytes",
                  {{"path", path}});
    }
  }
  data.resize(used);
  return data;
}

std::optional<std::string> ReadFileIfExists(const std::string &path, uint64_t max_bytes) {
  try {
    return ReadFile(path, max_bytes);
  } catch (const Error &error) {
    if (error.status() == Status::kNotFound) return std::nullopt;
    throw;
  }
}

size_t ReadAt(int fd, void *buffer, size_t size, uint64_t offset, const std::string &path) {
  auto *bytes = static_cast<char *>(buffer);
  size_t done = 0;
  while (done < size) {
    const ssize_t got = pread(fd, bytes + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error::FromErrno(errno, "read", path);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

void WriteAll(int fd, const void *data, size_t size, const std::string &path) {
  const auto *bytes = static_cast<const char *>(data);
  while (size > 0) {
    const ssize_t wrote = write(fd, bytes, size);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == EAGAIN) {  // a host's descriptor that does not block
      pollfd entry{fd, POLLOUT, 0};
      poll(&entry, 1, -1);
      continue;
    }
    if (wrote < 0) throw Error::FromErrno(errno, "write", path);
    bytes += wrote;
    size -= static_cast<size_t>(wrote);
  }
}

void WriteToHostDescriptor(int fd, std::string_view text, const std::string &what) {
  sigset_t pipe_signal, before, pending;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const auto restore = [&](bool failed) {
    // Only the signal of this write, if there is one: one that was waiting before is the host's.
    const timespec at_once{};
    if (failed && sigismember(&pending, SIGPIPE) == 0) sigtimedwait(&pipe_signal, nullptr, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  };
  try {
    WriteAll(fd, text.data(), text.size(), what);
  } catch (const Error &) {
    restore(true);
    throw;
  }
  restore(false);
}

void WriteFileAtomic(const std::string &path, std::string_view data, mode_t mode, bool sync) {
  const std::string temporary = path + ".tmp-" + RandomBase32(10);
  try {
    const UniqueFd fd = OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
    WriteAll(fd.get(), data.data(), data.size(), path);
    if (fchmod(fd.get(), mode) != 0) throw Error::FromErrno(errno, "change the mode of", path);
    if (sync && fdatasync(fd.get()) != 0) throw Error::FromErrno(errno, "sync", path);
    RenamePath(temporary, path);
  } catch (...) {
    unlink(temporary.c_str());
    throw;
  }
  if (sync) SyncDirectory(ParentPath(path));
}

void AppendFile(const std::string &path, std::string_view data, mode_t mode) {
  const UniqueFd fd = OpenFile(path, O_WRONLY | O_CREAT | O_APPEND, mode);
  WriteAll(fd.get(), data.data(), data.size(), path);
}

void SyncFile(const std::string &path) {
  const UniqueFd fd = OpenFile(path, O_RDONLY | O_NONBLOCK);
  if (fsync(fd.get()) != 0) throw Error::FromErrno(errno, "sync", path);
}

void SyncDirectory(const std::string &path) {
  const UniqueFd fd = OpenFile(path, O_RDONLY | O_DIRECTORY);
  // Some file systems have no fsync for directories; they order renames themselves.
  if (fsync(fd.get()) != 0 && errno != EINVAL) throw Error::FromErrno(errno, "sync", path);
}

void MakeDirs(const std::string &path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) return;
  if (errno == ENOENT) {
    const std::string parent = ParentPath(path);
    if (parent != path) {
      MakeDirs(parent, mode);
      if (mkdir(path.c_str(), mode) == 0) return;
    } else {
      errno = ENOENT;
    }
  }
  if (errno == EEXIST && IsDirectory(path)) return;
  throw Error::FromErrno(errno == EEXIST ? ENOTDIR : errno, "create the directory", path);
}

void RemoveTree(const std::string &path) {
  RemoveTreeAt(AT_FDCWD, path.c_str(), path);
}

void RemoveFile(const std::string &path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) throw Error::FromErrno(errno, "remove", path);
}

void RenamePath(const std::string &from, const std::string &to) {
  if (rename(from.c_str(), to.c_str()) != 0) throw Error::FromErrno(errno, "rename to '" + to + "'", from);
}

std::vector<DirEntry> ListDir(const std::string &path) {
  const std::unique_ptr<DIR, int (*)(DIR *)> directory(opendir(path.c_str()), closedir);
  if (!directory) throw Error::FromErrno(errno, "list", path);
  std::vector<DirEntry> entries;
  for (;;) {
    errno = 0;
    const dirent *entry = readdir(directory.get());
    if (entry == nullptr) break;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    DirEntry result{entry->d_name, FileInfo::Kind::kOther};
    if (entry->d_type == DT_UNKNOWN) {
      const auto info = Stat(path + "/" + result.name, false);
      if (!info) continue;
      result.kind = info->kind;
    } else {
      result.kind = KindOf(DTTOIF(entry->d_type));
    }
    entries.push_back(std::move(result));
  }
  if (errno != 0) throw Error::FromErrno(errno, "list", path);
  std::sort(entries.begin(), entries.end(), [](const DirEntry &a, const DirEntry &b) { return a.name < b.name; });
  return entries;
}

std::vector<std::string> ListTree(const std::string &path) {
  std::vector<std::string> paths;
  ListTreeInto(path, "", &paths);
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::optional<FileInfo> Stat(const std::string &path, bool follow_symlinks) {
  struct stat info {};
  if (fstatat(AT_FDCWD, path.c_str(), &info, follow_symlinks ? 0 : AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    throw Error::FromErrno(errno, "stat", path);
  }
  FileInfo result;
  result.kind = KindOf(info.st_mode);
  result.size = static_cast<uint64_t>(info.st_size);
  result.mode = info.st_mode & 07777;
  result.modified_ms = int64_t{info.st_mtim.tv_sec} * 1000 + info.st_mtim.tv_nsec / 1000000;
  result.device = info.st_dev;
  result.inode = info.st_ino;
  return result;
}

bool PathExists(const std::string &path) {
  return Stat(path).has_value();
}

bool IsDirectory(const std::string &path) {
  const auto info = Stat(path);
  return info && info->kind == FileInfo::Kind::kDirectory;
}

void CopyFile(const std::string &from, const std::string &to, bool replace) {
  const UniqueFd source = OpenFile(from, O_RDONLY | O_NONBLOCK);  // a pipe without a writer is no reason to wait
  struct stat info {};
  if (fstat(source.get(), &info) != 0) throw Error::FromErrno(errno, "stat", from);
  if (!S_ISREG(info.st_mode)) throw Error::InvalidArgument("'" + from + "' is not a regular file", {{"path", from}});
  const std::string target = replace ? to + ".tmp-" + RandomBase32(10) : to;
  const mode_t mode = info.st_mode & 0777;
  const UniqueFd destination = OpenFile(target, O_WRONLY | O_CREAT | O_EXCL, mode | 0200);
  try {
    CopyFd(source.get(), destination.get(), from, to);
    if (fchmod(destination.get(), mode) != 0) throw Error::FromErrno(errno, "change the mode of", to);
    if (replace) RenamePath(target, to);
  } catch (...) {
    unlink(target.c_str());
    throw;
  }
}

uint64_t CopyFd(int from, int to, const std::string &from_path, const std::string &to_path) {
  struct stat info {};
  if (fstat(from, &info) != 0) throw Error::FromErrno(errno, "stat", from_path);
  if (ioctl(to, FICLONE, from) == 0) return static_cast<uint64_t>(info.st_size);
  uint64_t total = 0;
  // In the kernel where it can; it answers 0 or an error for files that have no proper size (/proc) or other devices.
  for (;;) {
    const ssize_t got = copy_file_range(from, nullptr, to, nullptr, size_t{64} << 20, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
      throw Error::FromErrno(errno, "write", to_path);
    if (got <= 0) break;
    total += static_cast<uint64_t>(got);
  }
  std::vector<char> buffer(size_t{256} << 10);
  while (const size_t got = ReadAt(from, buffer.data(), buffer.size(), total, from_path)) {
    WriteAll(to, buffer.data(), got, to_path);
    total += got;
  }
  return total;
}

namespace {

void CopyTreeBut(const std::vector<FileInfo> &left_out, const std::string &from, const std::string &to,
                 const std::function<bool()> &go_on) {
  MakeDirs(to);
  for (const DirEntry &entry : ListDir(from)) {
    if (go_on && !go_on()) throw Error(Status::kCanceled, "canceled while '" + from + "' was copied");
    const std::string source = from + "/" + entry.name;
    const std::string target = to + "/" + entry.name;
    switch (entry.kind) {
      case FileInfo::Kind::kDirectory: {
        const auto info = Stat(source, false);
        const auto same = [&](const FileInfo &out) { return out.device == info->device && out.inode == info->inode; };
        if (info && std::none_of(left_out.begin(), left_out.end(), same)) CopyTreeBut(left_out, source, target, go_on);
        break;
      }
      case FileInfo::Kind::kFile:
        CopyFile(source, target);
        break;
      case FileInfo::Kind::kSymlink: {
        std::error_code error;
        std::filesystem::copy_symlink(source, target, error);
        if (error) throw Error::FromErrno(error.value(), "copy to '" + target + "' the symlink", source);
        break;
      }
      case FileInfo::Kind::kOther:
        break;
    }
  }
}

}  // namespace

void CopyTree(const std::string &from, const std::string &to, const std::function<bool()> &go_on,
              const std::string &leave_out) {
  MakeDirs(to);
  std::vector<FileInfo> left_out = {*Stat(to)};
  if (const auto info = leave_out.empty() ? std::nullopt : Stat(leave_out)) left_out.push_back(*info);
  CopyTreeBut(left_out, from, to, go_on);
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && path.back() != '/') path += '/';
  path += name;
  return path;
}

std::string ParentPath(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

std::string BaseName(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos || path.size() == 1 ? path : path.substr(slash + 1));
}

std::string AbsolutePath(const std::string &path) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error);
  if (error) throw Error::FromErrno(error.value(), "resolve", path);
  std::string normal = absolute.lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

bool IsSafeRelativePath(std::string_view path) {
  if (path.empty() || path.size() > 4096 || path.front() == '/' || path.find('\0') != std::string_view::npos)
    return false;
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find('/', start), path.size());
    const std::string_view part = path.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") return false;
    start = end + 1;
  }
  return path.back() != '/';
}

SymlinkWay FollowSymlink(const std::string &root, const std::string &link, const std::string &target) {
  std::vector<std::string> at;
  for (const std::string_view part : Split(link, '/')) at.emplace_back(part);
  at.pop_back();
  std::vector<std::string> rest;  // reversed: the next part is the last
  const auto follow = [&rest](const std::string &text) {
    const auto parts = Split(text, '/');
    rest.insert(rest.end(), parts.rbegin(), parts.rend());
  };
  if (target.starts_with('/')) return SymlinkWay::kLeaves;
  follow(target);
  for (int links = 0; !rest.empty();) {
    const std::string part = std::move(rest.back());
    rest.pop_back();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (at.empty()) return SymlinkWay::kLeaves;
      at.pop_back();
      continue;
    }
    at.push_back(part);
    std::array<char, PATH_MAX> next;
    const ssize_t size = readlink((root + "/" + Join(at, "/")).c_str(), next.data(), next.size());
    if (size < 0) continue;  // no symlink, or nothing
    if (size > 0 && next[0] == '/') return SymlinkWay::kLeaves;
    if (++links > kMaxLinks) return SymlinkWay::kTooLong;
    at.pop_back();
    follow({next.data(), static_cast<size_t>(size)});
  }
  return SymlinkWay::kInside;
}

FileSystemKind GetFileSystemKind(const std::string &path) {
  {
    std::lock_guard lock(g_kind_mutex);
    if (g_kind_answer) return g_kind_answer(path);
  }
  struct statfs info {};
  if (statfs(path.c_str(), &info) != 0) throw Error::FromErrno(errno, "find the file system of", path);
  const auto magic = static_cast<uint32_t>(info.f_type);
  for (const KnownFileSystem &known : kFileSystems) {
    if (known.magic == magic) return {known.network, known.name};
  }
  std::array<char, 16> text{};
  snprintf(text.data(), text.size(), "0x%x", magic);
  return {false, text.data()};
}

void SetFileSystemKindForTest(std::function<FileSystemKind(const std::string &)> answer) {
  std::lock_guard lock(g_kind_mutex);
  g_kind_answer = std::move(answer);
}

TempDir::TempDir(const std::string &prefix, const std::string &parent) {
  std::string base = parent;
  if (base.empty()) {
    const char *variable = getenv("TMPDIR");
    base = variable != nullptr && *variable != '\0' ? variable : "/tmp";
  }
  path_ = base + "/" + prefix + "-XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) throw Error::FromErrno(errno, "create a temporary directory in", base);
}

TempDir::~TempDir() {
  try {
    RemoveTree(path_);
  } catch (const std::exception &) {
    // Nothing to be done: it is a temporary directory.
  }
}

}  // namespace trainyard
