#include "engine_torch/weights/zip_writer.h"

#include "util/hash.h"

namespace trainyard {
namespace {

// The parts are those that zip_directory.cc reads. Of what the format leaves open this is the choice of torch.save, by
// which readers of `.format_version` 1 compute where a storage lies without looking:
// 1. local header: flag bit 3 for an entry that is not empty: sizes and checksum are 0 here and follow the bytes;
// 2. its extra fields: "1" with those of size, stored size and offset of this header that are 2^32 - 1 or more, if any;
//    then "FB" with as many 'Z' as make the entry's bytes start at a multiple of 64;
// 3. the bytes, and if there are any "PK\7\8": u32 CRC-32, stored size, size; the sizes are u64 when 2 has a field "1";
// 4. the central directory; its zip64 end and locator when a count is 65,535 or more, or a position 2^32 - 1 or more.
// Every time is 1980-01-01 00:00, so that the same input gives the same bytes.
constexpr uint32_t kLocalMagic = 0x04034b50;
constexpr uint32_t kTrailerMagic = 0x08074b50;
constexpr uint32_t kCentralMagic = 0x02014b50;
constexpr uint32_t kEnd64Magic = 0x06064b50;
constexpr uint32_t kEnd64LocatorMagic = 0x07064b50;
constexpr uint32_t kEndMagic = 0x06054b50;
constexpr uint64_t kLocalBytes = 30;
constexpr uint64_t kEnd64Bytes = 56;
constexpr uint64_t kAlignment = 64;
constexpr uint32_t kNone32 = 0xffffffff;  // "see the extra field"
constexpr uint16_t kNone16 = 0xffff;
constexpr uint16_t kTrailerFlag = 8;
constexpr uint16_t kZip64Field = 1;
constexpr uint16_t kPaddingField = 0x4246;  // "FB"
constexpr uint16_t kVersion = 20;
constexpr uint16_t kVersion64 = 45;
constexpr uint16_t kFirstDay = 1 << 5 | 1;
constexpr size_t kJoined = 64 << 10;  // writes below this are joined

// Little-endian fields, one after the other.
class Fields {
 public:
  template <typename T>
  Fields &Add(T number) {
    bytes_.append(reinterpret_cast<const char *>(&number), sizeof number);
    return *this;
  }
  Fields &Add32(uint64_t number) { return Add(number < kNone32 ? static_cast<uint32_t>(number) : kNone32); }
  Fields &Add16(uint64_t number) { return Add(number < kNone16 ? static_cast<uint16_t>(number) : kNone16); }
  Fields &AddBytes(const std::string &bytes) { return bytes_ += bytes, *this; }
  const std::string &bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// The zip64 extra field, empty when nothing needs it.
std::string Zip64Field(uint64_t size, uint64_t header) {
  Fields values;
  if (size >= kNone32) values.Add(size).Add(size);
  if (header >= kNone32) values.Add(header);
  if (values.bytes().empty()) return "";
  return Fields().Add(kZip64Field).Add(static_cast<uint16_t>(values.bytes().size())).AddBytes(values.bytes()).bytes();
}

// What ends a local header that starts with `before` bytes at `start`, so that the next byte is aligned.
std::string PaddingField(uint64_t start, uint64_t before) {
  const uint64_t end = start + before + 4;
  const uint64_t padding = (kAlignment - end % kAlignment) % kAlignment;
  return Fields().Add(kPaddingField).Add(static_cast<uint16_t>(padding)).bytes() + std::string(padding, 'Z');
}

}  // namespace

void ZipWriter::Add(const std::string &name, Bytes bytes) {
  const std::string path = folder_ + name;
  if (path.size() >= kNone16) throw Error::InvalidArgument("an archive entry's name is too long: " + Printable(path));
  const uint64_t header = position_;
  const uint64_t size = bytes.size();
  const std::string zip64 = Zip64Field(size, header);
  const uint16_t version = zip64.empty() ? kVersion : kVersion64;
  const uint16_t flags = size > 0 ? kTrailerFlag : 0;
  const auto name_bytes = static_cast<uint16_t>(path.size());
  const std::string extra = zip64 + PaddingField(header, kLocalBytes + path.size() + zip64.size());
  // Method, time and date are the same everywhere.
  const std::string common = Fields().Add(uint16_t{0}).Add(uint16_t{0}).Add(kFirstDay).bytes();
  const uint32_t local_size = size >= kNone32 ? kNone32 : 0;
  Fields local;
  local.Add(kLocalMagic).Add(version).Add(flags).AddBytes(common);
  local.Add(uint32_t{0}).Add(local_size).Add(local_size);
  local.Add(name_bytes).Add(static_cast<uint16_t>(extra.size()));
  Put(local.bytes() + path + extra);

  Put(bytes.data(), bytes.size());
  const uint32_t crc = Crc32(bytes.data(), bytes.size());
  if (size > 0) {
    Fields trailer;
    trailer.Add(kTrailerMagic).Add(crc);
    if (zip64.empty()) {
      trailer.Add32(size).Add32(size);
    } else {
      trailer.Add(size).Add(size);
    }
    Put(trailer.bytes());
  }

  Fields central;
  central.Add(kCentralMagic).Add(version).Add(version).Add(flags).AddBytes(common);
  central.Add(crc).Add32(size).Add32(size).Add(name_bytes).Add(static_cast<uint16_t>(zip64.size()));
  // Comment, volume, attributes.
  central.Add(uint16_t{0}).Add(uint16_t{0}).Add(uint16_t{0}).Add(uint32_t{0}).Add32(header);
  directory_ += central.bytes() + path + zip64;
  ++entry_count_;
}

void ZipWriter::Finish() {
  const uint64_t start = position_;
  const uint64_t size = directory_.size();
  Put(directory_);
  const uint64_t end = position_;
  if (entry_count_ >= kNone16 || start >= kNone32 || size >= kNone32) {
    Fields end64;
    end64.Add(kEnd64Magic).Add(uint64_t{kEnd64Bytes - 12}).Add(kVersion64).Add(kVersion64);
    end64.Add(uint32_t{0}).Add(uint32_t{0}).Add(entry_count_).Add(entry_count_).Add(size).Add(start);
    end64.Add(kEnd64LocatorMagic).Add(uint32_t{0}).Add(end).Add(uint32_t{1});
    Put(end64.bytes());
  }
  Fields last;
  last.Add(kEndMagic).Add(uint16_t{0}).Add(uint16_t{0}).Add16(entry_count_).Add16(entry_count_);
  last.Add32(size).Add32(start).Add(uint16_t{0});
  Put(last.bytes());
  Flush();
}

void ZipWriter::Put(const void *data, size_t size) {
  position_ += size;
  if (size >= kJoined) {
    Flush();
    sink_(data, size);
    return;
  }
  pending_.append(static_cast<const char *>(data), size);
  if (pending_.size() >= kJoined) Flush();
}

void ZipWriter::Flush() {
  if (!pending_.empty()) sink_(pending_.data(), pending_.size());
  pending_.clear();
}

}  // namespace trainyard
