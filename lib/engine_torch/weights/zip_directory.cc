#include "engine_torch/weights/zip_directory.h"

#include <algorithm>

namespace trainyard {
namespace {

// Read from the back:
// 1. end of central directory, 22 bytes + a comment of at most 65,535: u32 "PK\5\6", 2 x u16 volume, 2 x u16 count,
//    u32 size and u32 offset of the central directory, u16 comment length;
// 2. when one of these is all ones: 20 bytes before it the zip64 locator "PK\6\7" (u64 at 8: offset of 3);
// 3. zip64 end of central directory "PK\6\6", 56 bytes: u64 count at 32, u64 size at 40, u64 offset at 48;
// 4. central directory: per entry "PK\1\2", 46 bytes + name + extra + comment: u16 flags at 8, u16 method at 10, u32
// sizes
//    at 20 and 24, u16 lengths at 28, 30, 32, u32 offset of 5 at 42; sizes and offset that are all ones are u64 in the
//    extra field 1;
// 5. local header "PK\3\4", 30 bytes + name + extra (lengths at 26 and 28), then the entry's bytes.
constexpr uint32_t kEndMagic = 0x06054b50;
constexpr uint32_t kEnd64LocatorMagic = 0x07064b50;
constexpr uint32_t kEnd64Magic = 0x06064b50;
constexpr uint32_t kCentralMagic = 0x02014b50;
constexpr uint32_t kLocalMagic = 0x04034b50;
constexpr size_t kEndBytes = 22;
constexpr size_t kEnd64LocatorBytes = 20;
constexpr size_t kEnd64Bytes = 56;
constexpr size_t kCentralBytes = 46;
constexpr size_t kLocalBytes = 30;
constexpr uint64_t kMaxEntries = 1'000'000;

class Reader {
 public:
  Reader(Bytes bytes, const std::filesystem::path &path) : bytes_(bytes), path_(path) {}

  ZipDirectory Read() {
    const size_t end = FindEnd();
    uint64_t count = U16(end + 10);
    uint64_t size = U32(end + 12);
    uint64_t offset = U32(end + 16);
    if (count == 0xffff || size == 0xffffffff || offset == 0xffffffff) {
      if (end < kEnd64LocatorBytes || U32(end - kEnd64LocatorBytes) != kEnd64LocatorMagic) {
        throw Bad("its zip64 locator is missing");
      }
      const uint64_t end64 = U64(end - kEnd64LocatorBytes + 8);
      if (!Fits(end64, kEnd64Bytes) || U32(end64) != kEnd64Magic) throw Bad("its zip64 directory end is missing");
      count = U64(end64 + 32);
      size = U64(end64 + 40);
      offset = U64(end64 + 48);
    }
    if (!Fits(offset, size)) {
      uint64_t expected = 0;
      if (__builtin_add_overflow(offset, size, &expected)) throw Bad("its directory's size is impossible");
      throw Truncated(path_, "its zip directory", expected, bytes_.size());
    }
    if (count > kMaxEntries || count > size / kCentralBytes) throw Bad("its directory's size is impossible");
    ZipDirectory directory;
    uint64_t position = offset;
    for (uint64_t i = 0; i < count; ++i) position = ReadEntry(position, offset + size, &directory);
    return directory;
  }

 private:
  Error Bad(const std::string &what) const {
    return Error::Corrupt("'" + path_.string() + "' is a damaged zip archive: " + what + "; copy or download it again",
                          {{"path", path_.string()}});
  }
  bool Fits(uint64_t offset, uint64_t size) const { return offset <= bytes_.size() && size <= bytes_.size() - offset; }
  // The callers checked the bounds.
  uint16_t U16(uint64_t offset) const { return LoadLittleEndian<uint16_t>(bytes_, static_cast<size_t>(offset)); }
  uint32_t U32(uint64_t offset) const { return LoadLittleEndian<uint32_t>(bytes_, static_cast<size_t>(offset)); }
  uint64_t U64(uint64_t offset) const { return LoadLittleEndian<uint64_t>(bytes_, static_cast<size_t>(offset)); }

  size_t FindEnd() const {
    const size_t first = bytes_.size() > kEndBytes + 0xffff ? bytes_.size() - kEndBytes - 0xffff : 0;
    for (size_t at = bytes_.size() >= kEndBytes ? bytes_.size() - kEndBytes + 1 : 0; at-- > first;) {
      if (U32(at) == kEndMagic && at + kEndBytes + U16(at + 20) == bytes_.size()) return at;
    }
    throw Truncated(path_, "the zip directory at its end is missing", LeastSize(), bytes_.size());
  }

  // How large the archive must at least have been, from the local headers that are still there.
  uint64_t LeastSize() const {
    uint64_t position = 0;
    while (Fits(position, kLocalBytes) && U32(position) == kLocalMagic) {
      const uint64_t size = U32(position + 18);
      if (size == 0xffffffff) break;
      position += kLocalBytes + U16(position + 26) + U16(position + 28) + size;
      // Entries written in one go keep their sizes in a trailer instead; the walk ends there.
      if (size == 0) break;
    }
    return std::max<uint64_t>(position, bytes_.size()) + kCentralBytes + kEndBytes;
  }

  // Reads the entry at `position` of the central directory; returns where the next one starts.
  uint64_t ReadEntry(uint64_t position, uint64_t directory_end, ZipDirectory *directory) const {
    if (directory_end - position < kCentralBytes || U32(position) != kCentralMagic)
      throw Bad("a directory entry is broken");
    const uint16_t flags = U16(position + 8);
    const uint16_t method = U16(position + 10);
    uint64_t stored = U32(position + 20);
    uint64_t size = U32(position + 24);
    const uint64_t name_bytes = U16(position + 28);
    const uint64_t extra_bytes = U16(position + 30);
    const uint64_t next = position + kCentralBytes + name_bytes + extra_bytes + U16(position + 32);
    uint64_t local = U32(position + 42);
    if (next > directory_end) throw Bad("a directory entry is broken");
    const std::string name(
        AsText(bytes_.subspan(static_cast<size_t>(position + kCentralBytes), static_cast<size_t>(name_bytes))));
    ReadExtra64(position + kCentralBytes + name_bytes, extra_bytes, {&size, &stored, &local});
    const std::string where = "entry '" + Printable(name) + "'";
    const bool compressed = (flags & 1) != 0 || method != 0 || stored != size;
    if (!Fits(local, kLocalBytes)) throw Truncated(path_, where, local + kLocalBytes, bytes_.size());
    if (U32(local) != kLocalMagic) throw Bad(where + " has no local header");
    const uint64_t data = local + kLocalBytes + U16(local + 26) + U16(local + 28);
    uint64_t end = 0;
    if (__builtin_add_overflow(data, stored, &end)) throw Bad(where + " has an impossible size");
    if (!Fits(data, stored)) throw Truncated(path_, where, end, bytes_.size());
    const Bytes bytes = bytes_.subspan(static_cast<size_t>(data), static_cast<size_t>(stored));
    if (!directory->entries.emplace(name, ZipEntry{bytes, compressed}).second) throw Bad(where + " is there twice");
    return next;
  }

  // Extra field 1 holds, in this order, those of the values that are all ones in the entry itself.
  void ReadExtra64(uint64_t position, uint64_t length, std::initializer_list<uint64_t *> values) const {
    const uint64_t end = position + length;
    while (end - position >= 4) {
      const uint16_t id = U16(position);
      const uint64_t field_end = position + 4 + U16(position + 2);
      position += 4;
      if (field_end > end) throw Bad("a directory entry's extra field is broken");
      if (id == 1) {
        for (uint64_t *value : values) {
          if (*value != 0xffffffff) continue;
          if (field_end - position < 8) throw Bad("a directory entry's extra field is broken");
          *value = U64(position);
          position += 8;
        }
        return;
      }
      position = field_end;
    }
  }

  const Bytes bytes_;
  const std::filesystem::path &path_;
};

}  // namespace

ZipDirectory ReadZipDirectory(Bytes bytes, const std::filesystem::path &path) {
  return Reader(bytes, path).Read();
}

}  // namespace trainyard
