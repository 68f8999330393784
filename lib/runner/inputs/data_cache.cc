#include "runner/inputs/data_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "runner/inputs/unpack.h"
#include "util/error.h"
#include "util/http.h"
#include "util/log.h"
#include "util/url.h"

namespace trainyard {
namespace {

constexpr useconds_t kLockLookUs = 100000;

void Lock(const UniqueFd &lock, int how, const std::function<bool()> &go_on) {
  // Two that hold it shared and want it exclusively would wait for each other.
  flock(lock.get(), LOCK_UN);
  while (flock(lock.get(), how | LOCK_NB) != 0) {
    if (!go_on()) throw Error(Status::kCanceled, "canceled while waiting for another run's download");
    usleep(kLockLookUs);
  }
}

template <typename Make>
CachedData Cached(const std::string &path, const std::function<bool()> &go_on, const Make &make) {
  MakeDirs(ParentPath(path));
  CachedData data;
  data.path = path;
  data.in_use = OpenFile(path + ".lock", O_RDWR | O_CREAT);
  for (;;) {
    Lock(data.in_use, LOCK_SH, go_on);
    if (PathExists(path)) break;
    Lock(data.in_use, LOCK_EX, go_on);
    if (!PathExists(path)) make();
  }
  futimens(data.in_use.get(), nullptr);  // pruning goes by the last use
  return data;
}

void Download(const std::string &url, const std::string &sha256, const std::string &path,
              const std::function<bool()> &go_on) {
  DownloadOptions options;
  options.sha256 = sha256;
  options.progress = [&](uint64_t, uint64_t) { return go_on(); };
  const std::string shown = MaskCredentials(url);
  Log(LogLevel::kInfo, "downloading " + shown);
  DownloadFile(url, path, options);
  Log(LogLevel::kInfo, "downloaded " + shown + " to " + path);
}

// Whoever writes into it, or renames what is in it, by mistake gets an error instead of changing another run's data.
void MakeReadOnly(const std::string &directory) {
  for (const DirEntry &entry : ListDir(directory)) {
    const std::string path = directory + "/" + entry.name;
    if (entry.kind == FileInfo::Kind::kDirectory) {
      MakeReadOnly(path);
    } else if (const auto info = Stat(path, false); info && info->kind == FileInfo::Kind::kFile) {
      chmod(path.c_str(), info->mode & 0555);
    }
  }
  chmod(directory.c_str(), 0555);
}

// Its name says that it is whole, also after a power cut.
void SyncFileSystemOf(const std::string &directory) {
  const UniqueFd fd = OpenFile(directory, O_RDONLY | O_DIRECTORY);
  if (syncfs(fd.get()) != 0) throw Error::FromErrno(errno, "sync", directory);
}

}  // namespace

CachedData CacheFile(const std::string &url, const std::string &sha256, const Layout &workspace,
                     const std::function<bool()> &go_on) {
  const std::string path = workspace.Downloads() + "/" + sha256;
  return Cached(path, go_on, [&] {
    Download(url, sha256, path, go_on);
    chmod(path.c_str(), 0444);
  });
}

bool IsCached(const std::string &sha256, const Layout &workspace) {
  return PathExists(workspace.Downloads() + "/" + sha256);
}

CachedData CacheArchive(const std::string &url, const std::string &sha256, const Layout &workspace,
                        const std::string &marker, const std::function<bool()> &go_on) {
  const std::string path = workspace.Unpacked() + "/" + sha256;
  return Cached(path, go_on, [&] {
    const std::string archive = path + ".archive", temporary = path + ".tmp";
    RemoveTree(temporary);  // of one who was ended in the middle
    if (!PathExists(archive)) Download(url, sha256, archive, go_on);
    UnpackArchive(archive, MaskCredentials(url), temporary, marker, go_on);
    MakeReadOnly(temporary);
    SyncFileSystemOf(temporary);
    RenamePath(temporary, path);
    RemoveFile(archive);
  });
}

}  // namespace trainyard
