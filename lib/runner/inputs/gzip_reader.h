// The content of a gzip file, piece by piece, with the checks that libarchive leaves out: the CRC and length of each
// member, and that the last one is whole. Thread rule: one thread.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "util/fs.h"

namespace trainyard {

class GzipReader {
 public:
  // Whether the file begins as one.
  static bool IsGzip(const std::string &path);

  explicit GzipReader(const std::string &path);
  GzipReader(const GzipReader &) = delete;
  GzipReader &operator=(const GzipReader &) = delete;
  ~GzipReader();

  // Valid until the next call; empty at the end. What follows the last member is no part of it, as for gzip(1). Throws
  // Error kCorrupt that says what is wrong, without the file's name.
  std::string_view Read();

 private:
  bool Fill();
  bool NextMember();

  const std::string path_;
  const UniqueFd file_;
  uint64_t offset_ = 0;
  std::vector<unsigned char> input_, output_;
  z_stream stream_{};
  bool between_members_ = false, ended_ = false;
};

}  // namespace trainyard
