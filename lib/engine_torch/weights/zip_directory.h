// The directory of a zip archive in memory, for archives of stored (uncompressed) entries as torch.save writes them.
// Own code because the readers in Debian (libzip, libarchive) hand out copies, not where an entry's bytes lie. Thread
// rule: free function, a value.
#pragma once

#include <map>
#include <string>

#include "engine_torch/weights/bytes.h"

namespace trainyard {

struct ZipEntry {
  Bytes bytes;              // as they lie in the archive; checked to lie inside
  bool compressed = false;  // or encrypted: `bytes` are not the content
};

struct ZipDirectory {
  std::map<std::string, ZipEntry> entries;

  const ZipEntry *Find(const std::string &name) const {
    const auto found = entries.find(name);
    return found == entries.end() ? nullptr : &found->second;
  }
};

// Throws kCorrupt (truncated, damaged).
ZipDirectory ReadZipDirectory(Bytes bytes, const std::filesystem::path &path);

}  // namespace trainyard
