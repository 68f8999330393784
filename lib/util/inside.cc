#include "util/inside.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "util/error.h"

namespace trainyard {
namespace {

bool IsNoFile(int number) {  // ENXIO: a socket
  return number == ENOENT || number == ENOTDIR || number == ELOOP || number == ENXIO;
}

}  // namespace

UniqueFd OpenRegularFile(const std::string &path) {
  const UniqueFd directory(open(ParentPath(path).c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory.valid() && IsNoFile(errno)) return UniqueFd();
  if (!directory.valid()) throw Error::FromErrno(errno, "open", path);
  UniqueFd fd(openat(directory.get(), BaseName(path).c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid() && IsNoFile(errno)) return UniqueFd();
  if (!fd.valid()) throw Error::FromErrno(errno, "open", path);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) throw Error::FromErrno(errno, "stat", path);
  if (!S_ISREG(info.st_mode)) return UniqueFd();
  return fd;
}

std::string RealPath(const std::string &path) {
  const std::unique_ptr<char, void (*)(void *)> real(realpath(path.c_str(), nullptr), free);
  return real ? real.get() : "";
}

bool LeadsInside(const std::string &root, const std::string &path) {
  std::string existing = path;
  while (existing.size() > root.size() && !Stat(existing, /*follow_symlinks=*/false)) existing = ParentPath(existing);
  const std::string real_root = RealPath(root);
  if (real_root.empty() || real_root == "/") return !real_root.empty();
  return (RealPath(existing) + "/").starts_with(real_root + "/");
}

}  // namespace trainyard
