// Decoding of JPEG and PNG files to 8-bit RGB, with the pixels that Pillow's Image.open(path).convert("RGB") gives, bit
// for bit: the same libjpeg settings (accurate integer DCT, fancy upsampling), the same conversions of grey, CMYK,
// palette, 16-bit and transparent images, EXIF orientation ignored as torchvision ignores it. The format is told by
// content, never by name.
//
// Every failure is an Error that names the file and the reason: kCorrupt (empty, truncated, damaged, too large),
// kUnsupported (another format, named), or what the file system said.
//
// Thread rule: functions may run concurrently; an Image or ImageReader belongs to one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trainyard::image {

// Leaves new elements uninitialised: an image buffer is always written before it is read.
template <typename T>
struct UninitializedAllocator : std::allocator<T> {
  template <typename U>
  struct rebind {
    using other = UninitializedAllocator<U>;
  };
  template <typename U>
  void construct(U *place) noexcept {
    ::new (static_cast<void *>(place)) U;
  }
  template <typename U, typename... Args>
  void construct(U *place, Args &&...args) {
    ::new (static_cast<void *>(place)) U(std::forward<Args>(args)...);
  }
};

using ByteBuffer = std::vector<uint8_t, UninitializedAllocator<uint8_t>>;

// Rows of red, green, blue bytes without gaps. Reuse one for many images: the buffer only grows.
struct Image {
  int width = 0;
  int height = 0;
  ByteBuffer rgb;

  void Reset(int new_width, int new_height) {
    width = new_width;
    height = new_height;
    rgb.resize(static_cast<size_t>(new_width) * static_cast<size_t>(new_height) * 3);
  }
};

// A part of an image, in pixels.
struct Rect {
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;

  bool operator==(const Rect &) const = default;
};

enum class Format { kJpeg, kPng };

struct ImageInfo {
  Format format = Format::kJpeg;
  int width = 0;
  int height = 0;
};

// Pillow's limit against decompression bombs: twice MAX_IMAGE_PIXELS.
inline constexpr int64_t kMaxPixels = 2 * int64_t{89478485};

// What one format must do; see ImageReader.
class FormatReader {
 public:
  virtual ~FormatReader() = default;
  virtual ImageInfo info() const = 0;
  virtual Rect Decode(const Rect &wanted, Image *out) = 0;
  virtual std::string_view warning() const = 0;
};

// One encoded image: its header is read at construction, its pixels by one call of Decode*. `data` must outlive the
// reader.
class ImageReader {
 public:
  ImageReader(std::span<const uint8_t> data, std::string name);

  const ImageInfo &info() const { return info_; }

  void Decode(Image *out);

  // Decodes little more than `wanted`: `out` becomes the returned rectangle of the image, which holds `wanted`; only
  // the pixels inside `wanted` are meant to be used, and they are those that Decode() gives. May be called once.
  Rect DecodeRegion(const Rect &wanted, Image *out);

  // What was wrong with an image that could be decoded all the same ("" when nothing). Pillow is silent about these.
  std::string_view warning() const { return reader_->warning(); }

 private:
  std::string name_;
  std::unique_ptr<FormatReader> reader_;
  ImageInfo info_;
};

// `name` is what errors call the image.
Image DecodeImage(std::span<const uint8_t> data, const std::string &name);
void DecodeImage(std::span<const uint8_t> data, const std::string &name, Image *out);
Image DecodeImageFile(const std::string &path);

// Reads the header only.
ImageInfo ProbeImageFile(const std::string &path);

// The whole file into `out`, reusing its memory.
void ReadImageFile(const std::string &path, ByteBuffer *out);

}  // namespace trainyard::image
