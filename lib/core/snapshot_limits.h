// How large a source directory may be, and what to say when it is larger: which files and directories are to blame and
// the ignore lines that would drop them. Thread rule: values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "util/json.h"

namespace trainyard {

struct SnapshotLimits {
  uint64_t max_bytes = uint64_t{300} << 20;  // 0 = no limit
  uint64_t max_files = 2000;                 // 0 = no limit

  bool operator==(const SnapshotLimits &) const = default;
  bool IsDefault() const { return *this == SnapshotLimits(); }
  bool Allow(uint64_t bytes, uint64_t files) const {
    return (max_bytes == 0 || bytes <= max_bytes) && (max_files == 0 || files <= max_files);
  }
  Json ToJson() const;
  static SnapshotLimits FromJson(const Json &json);
};

struct SizedPath {
  std::string path;
  uint64_t bytes = 0;
};

// One file, one directory with all that is in it, or the files of one kind in a directory.
struct Offender {
  std::string name;  // "data/train/", "model.bin", "images/*.jpg"
  std::string line;  // the ignore line that drops it
  uint64_t bytes = 0;
  uint64_t files = 0;
};
// The largest by the limits that are exceeded, at most `most`, none inside another. A directory is named as a whole
// when what is in it is spread out, else the part of it that makes it large.
std::vector<Offender> FindOffenders(const std::vector<SizedPath> &files, const SnapshotLimits &limits, size_t most);

std::string FormatBytes(uint64_t bytes);  // "1.2 GB", "312 KB", "17 bytes"; powers of 1024

}  // namespace trainyard
