#include "runner/inputs/gzip_reader.h"

#include <fcntl.h>

#include <array>

#include "util/error.h"

namespace trainyard {
namespace {

constexpr size_t kBuffer = size_t{256} << 10;
constexpr unsigned char kMagic[] = {0x1f, 0x8b};
constexpr int kGzipOnly = 16;  // added to the window's bits

}  // namespace

bool GzipReader::IsGzip(const std::string &path) {
  std::array<unsigned char, 2> start{};
  const UniqueFd file = OpenFile(path, O_RDONLY);
  return ReadAt(file.get(), start.data(), start.size(), 0, path) == start.size() && start[0] == kMagic[0] &&
         start[1] == kMagic[1];
}

GzipReader::GzipReader(const std::string &path)
    : path_(path), file_(OpenFile(path, O_RDONLY)), input_(kBuffer), output_(kBuffer) {
  if (inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK)
    throw Error(Status::kOutOfMemory, "out of memory for gzip");
}

GzipReader::~GzipReader() {
  inflateEnd(&stream_);
}

// False at the end of the file.
bool GzipReader::Fill() {
  if (stream_.avail_in != 0) return true;
  const size_t got = ReadAt(file_.get(), input_.data(), input_.size(), offset_, path_);
  offset_ += got;
  stream_.next_in = input_.data();
  stream_.avail_in = static_cast<uInt>(got);
  return got != 0;
}

bool GzipReader::NextMember() {
  if (!Fill() || stream_.next_in[0] != kMagic[0]) return false;
  inflateReset(&stream_);
  between_members_ = false;
  return true;
}

std::string_view GzipReader::Read() {
  stream_.next_out = output_.data();
  stream_.avail_out = static_cast<uInt>(output_.size());
  while (!ended_ && stream_.avail_out == output_.size()) {
    if (between_members_ && !NextMember()) {
      ended_ = true;
      break;
    }
    if (!Fill()) throw Error::Corrupt("its gzip stream was cut short");
    const int code = inflate(&stream_, Z_NO_FLUSH);
    between_members_ = code == Z_STREAM_END;
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
      throw Error::Corrupt(std::string("its gzip stream is damaged: ") +
                           (stream_.msg == nullptr ? "it cannot be read" : stream_.msg));
    }
  }
  return {reinterpret_cast<const char *>(output_.data()), output_.size() - stream_.avail_out};
}

}  // namespace trainyard
