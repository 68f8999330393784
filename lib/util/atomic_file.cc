#include "util/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "util/error.h"
#include "util/random.h"

namespace trainyard {
namespace {

// The name under which the kernel gives an open file to linkat(2).
std::string DescriptorPath(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

// A file without a name; not valid where the file system or a missing /proc does not allow it.
UniqueFd OpenUnnamed(const std::string &directory, mode_t mode) {
  UniqueFd file(open(directory.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode));
  if (file.valid() && access(DescriptorPath(file.get()).c_str(), F_OK) != 0) file.Reset();
  return file;
}

}  // namespace

AtomicFile::AtomicFile(std::string path, mode_t mode)
    : path_(std::move(path)),
      // Beside the target, because rename() works within one file system only.
      temporary_(JoinPath(ParentPath(path_), "." + BaseName(path_) + ".tmp-" + RandomBase32(10))),
      file_(OpenUnnamed(ParentPath(path_), mode)) {
  if (file_.valid()) return;
  file_.Reset(open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!file_.valid()) throw Error::FromErrno(errno, "create", path_);
  named_ = true;
}

AtomicFile::~AtomicFile() {
  if (named_) unlink(temporary_.c_str());
}

void AtomicFile::Commit() {
  if (fsync(file_.get()) != 0) throw Error::FromErrno(errno, "sync", path_);
  if (!named_) {
    const std::string from = DescriptorPath(file_.get());
    if (linkat(AT_FDCWD, from.c_str(), AT_FDCWD, temporary_.c_str(), AT_SYMLINK_FOLLOW) != 0)
      throw Error::FromErrno(errno, "create", path_);
    named_ = true;
  }
  RenamePath(temporary_, path_);
  named_ = false;
  SyncDirectory(ParentPath(path_));
}

}  // namespace trainyard
