#include "engine_torch/image/image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine_torch/image/jpeg_reader.h"
#include "engine_torch/image/png_reader.h"
#include "util/error.h"

namespace trainyard::image {
namespace {

struct Signature {
  size_t offset;
  std::string_view bytes;
  const char *name;
};

// Formats that people do have in image folders, so that the error can say what the file is.
constexpr Signature kOtherFormats[] = {
    {0, "GIF8", "GIF"},
    {8, "WEBP", "WebP"},
    {0, std::string_view("II*\0", 4), "TIFF"},
    {0, std::string_view("MM\0*", 4), "TIFF"},
    {0, "BM", "BMP"},
    {4, "ftypavif", "AVIF"},
    {4, "ftyphei", "HEIC"},
    {4, "ftypmif1", "HEIC"},
    {4, "jP  ", "JPEG 2000"},
    {0, "\xff\x4f\xff\x51", "JPEG 2000"},
    {0, "8BPS", "Photoshop"},
    {0, "%PDF", "PDF"},
    {0, "P1", "PBM"},
    {0, "P2", "PGM"},
    {0, "P3", "PPM"},
    {0, "P4", "PBM"},
    {0, "P5", "PGM"},
    {0, "P6", "PPM"},
    {0, "<!DOCTYPE", "HTML"},
    {0, "<!doctype", "HTML"},
    {0, "<html", "HTML"},
    {0, "<svg", "SVG"},
    {0, "<?xml", "XML"},
    {0, "version https://git-lfs", "Git LFS pointer"},
};

bool HasAt(std::string_view data, size_t offset, std::string_view bytes) {
  return data.size() >= offset + bytes.size() && data.compare(offset, bytes.size(), bytes) == 0;
}

std::unique_ptr<FormatReader> OpenByContent(std::span<const uint8_t> data, const std::string &name) {
  std::string_view text(reinterpret_cast<const char *>(data.data()), data.size());
  if (text.empty()) {
    throw Error::Corrupt("cannot decode '" + name + "': the file is empty; replace or remove it", {{"path", name}});
  }
  if (HasAt(text, 0, "\xff\xd8\xff")) {
    return OpenJpeg(data, name);
  }
  if (HasAt(text, 0, "\x89PNG\r\n\x1a\n")) {
    return OpenPng(data, name);
  }
  for (const Signature &other : kOtherFormats) {
    if (HasAt(text, other.offset, other.bytes)) {
      throw Error(Status::kUnsupported,
                  "cannot decode '" + name + "': " + other.name +
                      " files are not supported; convert it to JPEG or PNG, or remove it",
                  {{"path", name}});
    }
  }
  throw Error::Corrupt("cannot decode '" + name + "': neither a JPEG nor a PNG image; replace or remove it",
                       {{"path", name}});
}

// Closes the descriptor on every way out. O_NONBLOCK: opening a pipe must not wait for a writer.
struct File {
  int fd;
  explicit File(const std::string &path) : fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd < 0) {
      throw Error::FromErrno(errno, "read", path);
    }
  }
  ~File() { close(fd); }
  File(const File &) = delete;
  File &operator=(const File &) = delete;
};

// Reads up to `limit` bytes from the start; returns false when there is more.
bool ReadStart(const std::string &path, size_t limit, ByteBuffer *out) {
  File file(path);
  struct stat status {};
  if (fstat(file.fd, &status) != 0) {
    throw Error::FromErrno(errno, "read", path);
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error::InvalidArgument("cannot decode '" + path + "': not a regular file; remove it from the image folder",
                                 {{"path", path}});
  }
  // A byte more than the size: the read that returns 0 is then the first one past the end, also for a file that grew.
  size_t expected = static_cast<size_t>(std::max<off_t>(status.st_size, 0)) + 1;
  out->resize(std::min(expected, limit));
  size_t size = 0;
  while (size < limit) {
    if (size == out->size()) {
      out->resize(std::min(limit, size * 2));
    }
    ssize_t got = read(file.fd, out->data() + size, out->size() - size);
    if (got < 0 && errno != EINTR) {
      throw Error::FromErrno(errno, "read", path);
    }
    if (got == 0) {
      out->resize(size);
      return true;
    }
    size += got > 0 ? static_cast<size_t>(got) : 0;
  }
  return false;
}

}  // namespace

ImageReader::ImageReader(std::span<const uint8_t> data, std::string name)
    : name_(std::move(name)), reader_(OpenByContent(data, name_)), info_(reader_->info()) {}

void ImageReader::Decode(Image *out) {
  reader_->Decode({0, 0, info_.width, info_.height}, out);
}

Rect ImageReader::DecodeRegion(const Rect &wanted, Image *out) {
  if (wanted.x < 0 || wanted.y < 0 || wanted.width < 1 || wanted.height < 1 || wanted.width > info_.width - wanted.x ||
      wanted.height > info_.height - wanted.y) {
    throw Error::Internal("a region outside of the image '" + name_ + "' was asked for", {{"path", name_}});
  }
  return reader_->Decode(wanted, out);
}

void DecodeImage(std::span<const uint8_t> data, const std::string &name, Image *out) {
  ImageReader(data, name).Decode(out);
}

Image DecodeImage(std::span<const uint8_t> data, const std::string &name) {
  Image image;
  DecodeImage(data, name, &image);
  return image;
}

Image DecodeImageFile(const std::string &path) {
  ByteBuffer bytes;
  ReadImageFile(path, &bytes);
  return DecodeImage(bytes, path);
}

ImageInfo ProbeImageFile(const std::string &path) {
  // Headers lie near the start, but metadata (EXIF thumbnails, colour profiles) may come before them: read more only
  // then.
  constexpr size_t kUsualHeader = 1 << 16;
  ByteBuffer bytes;
  if (!ReadStart(path, kUsualHeader, &bytes)) {
    try {
      return ImageReader(bytes, path).info();
    } catch (const Error &) {
      ReadImageFile(path, &bytes);
    }
  }
  return ImageReader(bytes, path).info();
}

void ReadImageFile(const std::string &path, ByteBuffer *out) {
  ReadStart(path, SIZE_MAX, out);
}

}  // namespace trainyard::image
