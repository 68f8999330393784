#include "drivers/tensorboard_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "util/crc32c.h"
#include "util/error.h"
#include "util/random.h"

namespace trainyard {
namespace {

constexpr size_t kBuffer = size_t{64} << 10;

uint32_t Masked(std::string_view data) {
  const uint32_t crc = Crc32c(data.data(), data.size());
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
}

template <typename T>
void Put(T value, std::string *out) {
  char bytes[sizeof value];
  memcpy(bytes, &value, sizeof bytes);  // both machines that trainyard runs on are little-endian
  out->append(bytes, sizeof bytes);
}

// A protocol buffer as it grows.
class Message {
 public:
  Message &Number(uint32_t field, uint64_t value) {
    Key(field, 0);
    Varint(value);
    return *this;
  }
  Message &Double(uint32_t field, double value) {
    Key(field, 1);
    Put(value, &bytes_);
    return *this;
  }
  Message &Float(uint32_t field, float value) {
    Key(field, 5);
    Put(value, &bytes_);
    return *this;
  }
  Message &Bytes(uint32_t field, std::string_view value) {
    Key(field, 2);
    Varint(value.size());
    bytes_ += value;
    return *this;
  }
  const std::string &bytes() const { return bytes_; }

 private:
  void Key(uint32_t field, uint32_t wire_type) { Varint(field << 3 | wire_type); }
  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }

  std::string bytes_;
};

double Seconds(int64_t time_ms) {
  return static_cast<double>(time_ms) / 1000;
}

float SinglePrecision(double value) {
  constexpr double kMost = std::numeric_limits<float>::max();
  if (std::abs(value) <= kMost || std::isnan(value)) return static_cast<float>(value);
  return value > 0 ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity();
}

uint32_t BigEndian(std::string_view bytes, size_t at, size_t count) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

// The frame header is one of the segments SOF0 to SOF15, but for the three that are something else.
ImageSize JpegSize(std::string_view bytes) {
  for (size_t at = 2; at + 9 <= bytes.size();) {
    if (static_cast<uint8_t>(bytes[at]) != 0xFF) return {};
    const auto marker = static_cast<uint8_t>(bytes[at + 1]);
    if (marker == 0xFF) {  // fill byte
      ++at;
      continue;
    }
    if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC) {
      return {BigEndian(bytes, at + 7, 2), BigEndian(bytes, at + 5, 2)};
    }
    at += 2 + BigEndian(bytes, at + 2, 2);
  }
  return {};
}

}  // namespace

ImageSize ReadImageSize(std::string_view bytes) {
  using namespace std::string_view_literals;
  if (bytes.starts_with("\x89PNG\r\n\x1a\n"sv) && bytes.size() >= 24) {
    return {BigEndian(bytes, 16, 4), BigEndian(bytes, 20, 4)};
  }
  if (bytes.starts_with("GIF8"sv) && bytes.size() >= 10) {
    const auto byte = [&](size_t at) { return static_cast<uint32_t>(static_cast<uint8_t>(bytes[at])); };
    return {byte(6) | byte(7) << 8, byte(8) | byte(9) << 8};
  }
  if (bytes.starts_with("\xFF\xD8"sv)) return JpegSize(bytes);
  return {};
}

TensorBoardFile::TensorBoardFile(const std::string &directory, const std::string &name, int64_t time_ms)
    : path_(JoinPath(directory, name)), temporary_(JoinPath(directory, ".export-" + RandomBase32(10))) {
  MakeDirs(directory, 0755);
  file_ = OpenFile(temporary_, O_WRONLY | O_CREAT | O_EXCL, 0644);
  AddRecord(Message().Double(1, Seconds(time_ms)).Bytes(3, "brain.Event:2").bytes());
}

TensorBoardFile::~TensorBoardFile() {
  if (file_.valid()) unlink(temporary_.c_str());
}

void TensorBoardFile::AddScalar(std::string_view tag, int64_t step, int64_t time_ms, double value) {
  AddSummary(step, time_ms, Message().Bytes(1, tag).Float(2, SinglePrecision(value)).bytes());
}

bool TensorBoardFile::AddImage(std::string_view tag, int64_t step, int64_t time_ms, std::string_view encoded) {
  constexpr uint64_t kRgb = 3;
  const ImageSize size = ReadImageSize(encoded);
  if (size.width == 0 || size.height == 0) return false;
  Message image;
  image.Number(1, size.height).Number(2, size.width).Number(3, kRgb).Bytes(4, encoded);
  AddSummary(step, time_ms, Message().Bytes(1, tag).Bytes(4, image.bytes()).bytes());
  return true;
}

void TensorBoardFile::AddSummary(int64_t step, int64_t time_ms, std::string_view value) {
  Message event;
  event.Double(1, Seconds(time_ms)).Number(2, static_cast<uint64_t>(step));
  event.Bytes(5, Message().Bytes(1, value).bytes());
  AddRecord(event.bytes());
}

void TensorBoardFile::AddRecord(std::string_view data) {
  std::string length;
  Put(static_cast<uint64_t>(data.size()), &length);
  buffer_ += length;
  Put(Masked(length), &buffer_);
  buffer_ += data;
  Put(Masked(data), &buffer_);
  if (buffer_.size() >= kBuffer) Flush();
}

void TensorBoardFile::Flush() {
  WriteAll(file_.get(), buffer_.data(), buffer_.size(), temporary_);
  buffer_.clear();
}

void TensorBoardFile::Finish() {
  Flush();
  RenamePath(temporary_, path_);
  file_.Reset();
}

}  // namespace trainyard
