// What URLs with a SHA-256 gave, in the workspace and shared by its runs (store/layout.h): one fetches, the others that
// want the same wait for it. What is there was checked before it got its name. Thread-safe.
#pragma once

#include <functional>
#include <string>

#include "store/layout.h"
#include "util/fs.h"

namespace trainyard {

struct CachedData {
  std::string path;
  UniqueFd in_use;  // nobody removes it meanwhile
};

// `go_on` false ends it with Error kCanceled. Throws what DownloadFile throws.
CachedData CacheFile(const std::string &url, const std::string &sha256, const Layout &workspace,
                     const std::function<bool()> &go_on);
// Whether CacheFile has nothing to download.
bool IsCached(const std::string &sha256, const Layout &workspace);

// A directory with what is in the archive; its files are read-only. The archive itself is not kept. `marker`:
// BuildTools. Throws what UnpackArchive throws, too.
CachedData CacheArchive(const std::string &url, const std::string &sha256, const Layout &workspace,
                        const std::string &marker, const std::function<bool()> &go_on);

}  // namespace trainyard
