// Files and directories. Every failure is an Error that names the path. Descriptors are close-on-exec.
// Thread rule: functions are thread-safe; a UniqueFd or TempDir belongs to one thread at a time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd &&other) noexcept : fd_(other.Release()) {}
  UniqueFd &operator=(UniqueFd &&other) noexcept {
    Reset(other.Release());
    return *this;
  }
  UniqueFd(const UniqueFd &) = delete;
  UniqueFd &operator=(const UniqueFd &) = delete;
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset(int fd = -1);

 private:
  int fd_ = -1;
};

struct FileInfo {
  enum class Kind { kFile, kDirectory, kSymlink, kOther };
  Kind kind = Kind::kOther;
  uint64_t size = 0;
  uint32_t mode = 0;  // permission bits
  int64_t modified_ms = 0;
  uint64_t device = 0, inode = 0;
};

struct DirEntry {
  std::string name;
  FileInfo::Kind kind = FileInfo::Kind::kOther;
};

// open(2) with O_CLOEXEC, retried on EINTR.
UniqueFd OpenFile(const std::string &path, int flags, mode_t mode = 0600);
// The whole file; throws Error kCorrupt when it is larger than `max_bytes`.
std::string ReadFile(const std::string &path, uint64_t max_bytes = uint64_t{256} << 20);
std::optional<std::string> ReadFileIfExists(const std::string &path, uint64_t max_bytes = uint64_t{256} << 20);
// Up to `size` bytes at `offset`; short at the end of the file.
size_t ReadAt(int fd, void *buffer, size_t size, uint64_t offset, const std::string &path);
void WriteAll(int fd, const void *data, size_t size, const std::string &path);
// To a descriptor that the host gave: one that nobody reads any more is an error, and no SIGPIPE for the host.
void WriteToHostDescriptor(int fd, std::string_view text, const std::string &what);
// Readers see the old or the new content, also after a power cut: temporary file beside it, fsync, rename, fsync of the
// directory. `sync` false leaves both fsyncs out.
void WriteFileAtomic(const std::string &path, std::string_view data, mode_t mode = 0600, bool sync = true);
// One write(2) in append mode.
void AppendFile(const std::string &path, std::string_view data, mode_t mode = 0600);
void SyncFile(const std::string &path);
void SyncDirectory(const std::string &path);

// mkdir -p; `mode` for each directory that is made.
void MakeDirs(const std::string &path, mode_t mode = 0700);
// rm -rf without following symlinks; a path that is absent is fine.
void RemoveTree(const std::string &path);
void RemoveFile(const std::string &path);  // absent is fine
void RenamePath(const std::string &from, const std::string &to);
// Sorted by name, without "." and "..".
std::vector<DirEntry> ListDir(const std::string &path);
// Every file and symlink below `path` as '/'-separated relative paths, sorted; symlinked directories are not entered.
std::vector<std::string> ListTree(const std::string &path);
std::optional<FileInfo> Stat(const std::string &path, bool follow_symlinks = true);  // nullopt when absent
bool PathExists(const std::string &path);
bool IsDirectory(const std::string &path);

// Content and permission bits: reflink where the file system can, else copy_file_range, else read and write. `to` must
// not exist unless `replace`.
void CopyFile(const std::string &from, const std::string &to, bool replace = false);
// Content only, between descriptors at offset 0; returns the number of bytes.
uint64_t CopyFd(int from, int to, const std::string &from_path, const std::string &to_path);
// Directories, files, symlinks (as symlinks); anything else is skipped. Neither `to` itself nor the directory
// `leave_out` is copied when it lies below `from`. `go_on` is asked before each of them; false ends it with Error
// kCanceled.
void CopyTree(const std::string &from, const std::string &to, const std::function<bool()> &go_on = nullptr,
              const std::string &leave_out = "");

std::string JoinPath(std::string_view directory, std::string_view name);
std::string ParentPath(std::string_view path);  // "/a/b" -> "/a"; "b" -> "."
std::string BaseName(std::string_view path);
std::string AbsolutePath(const std::string &path);  // lexically normal; need not exist
// Relative, not empty, no NUL, no "..", no "." or empty part: cannot leave the directory it is joined to.
bool IsSafeRelativePath(std::string_view path);

enum class SymlinkWay {
  kInside,   // may end nowhere
  kLeaves,   // goes above the root at some point; an absolute one does
  kTooLong,  // over more links than the kernel follows, or round in circles: others may follow it further
};
// The way of the symlink `link` (relative to `root`) to `target`, as the kernel would take it through other links.
SymlinkWay FollowSymlink(const std::string &root, const std::string &link, const std::string &target);

struct FileSystemKind {
  bool network = false;
  std::string name;  // "ext4", "nfs", "cifs", "lustre", ...; a hexadecimal number when not known
};
FileSystemKind GetFileSystemKind(const std::string &path);
// Tests only: answers instead of statfs; nullptr = the real thing.
void SetFileSystemKindForTest(std::function<FileSystemKind(const std::string &)> answer);

// A fresh 0700 directory under $TMPDIR or /tmp (or `parent`), removed with everything in it at the end.
class TempDir {
 public:
  explicit TempDir(const std::string &prefix = "trainyard", const std::string &parent = "");
  TempDir(const TempDir &) = delete;
  TempDir &operator=(const TempDir &) = delete;
  ~TempDir();
  const std::string &path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace trainyard
