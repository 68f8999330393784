#include "store/metric_chunk.h"

#include <cstring>

#include "util/error.h"

namespace trainyard {
namespace {

void PutVarint(uint64_t value, std::string *out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

uint64_t ZigZag(uint64_t value) {
  return (value << 1) ^ (0 - (value >> 63));
}
uint64_t UnZigZag(uint64_t value) {
  return (value >> 1) ^ (0 - (value & 1));
}

class Unpacker {
 public:
  explicit Unpacker(std::string_view data) : data_(data) {}

  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (data_.empty()) Fail();
      const auto byte = static_cast<uint8_t>(data_.front());
      data_.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    Fail();
  }

  std::string_view Take(uint64_t size) {
    if (size > data_.size()) Fail();
    const std::string_view taken = data_.substr(0, size);
    data_.remove_prefix(size);
    return taken;
  }

 private:
  [[noreturn]] static void Fail() { throw Error::Corrupt("a chunk of metrics in the database is damaged"); }

  std::string_view data_;
};

}  // namespace

// Differences are taken modulo 2^64, so that any two steps have one.
std::string MetricChunk::Pack() const {
  std::string out;
  out.reserve(points.size() * 12);
  uint64_t before = 0;
  if (kind != Kind::kProgress) {
    for (const MetricPoint &point : points) {
      PutVarint(ZigZag(static_cast<uint64_t>(point.step) - before), &out);
      before = static_cast<uint64_t>(point.step);
    }
  }
  before = 0;
  for (const MetricPoint &point : points) {
    PutVarint(ZigZag(static_cast<uint64_t>(point.time_ms) - before), &out);
    before = static_cast<uint64_t>(point.time_ms);
  }
  before = 0;
  for (const int64_t ordinal : ordinals) {
    PutVarint(static_cast<uint64_t>(ordinal) - before, &out);
    before = static_cast<uint64_t>(ordinal);
  }
  if (kind != Kind::kPoints) {
    for (const std::string &text : texts) {
      PutVarint(text.size(), &out);
      out += text;
    }
    return out;
  }
  for (const MetricPoint &point : points) {
    char bytes[sizeof point.value];
    memcpy(bytes, &point.value, sizeof bytes);
    out.append(bytes, sizeof bytes);
  }
  return out;
}

void MetricChunk::Unpack(std::string_view data, size_t count) {
  if (count > data.size()) throw Error::Corrupt("a chunk of metrics in the database is damaged");
  Unpacker in(data);
  points.assign(count, {});
  ordinals.assign(count, 0);
  texts.clear();
  uint64_t value = 0;
  if (kind != Kind::kProgress) {
    for (MetricPoint &point : points) point.step = static_cast<int64_t>(value += UnZigZag(in.Varint()));
  }
  value = 0;
  for (MetricPoint &point : points) point.time_ms = static_cast<int64_t>(value += UnZigZag(in.Varint()));
  value = 0;
  for (int64_t &ordinal : ordinals) ordinal = static_cast<int64_t>(value += in.Varint());
  if (kind != Kind::kPoints) {
    for (size_t i = 0; i < count; ++i) texts.emplace_back(in.Take(in.Varint()));
    return;
  }
  const std::string_view values = in.Take(count * sizeof(double));
  for (size_t i = 0; i < count; ++i) memcpy(&points[i].value, values.data() + i * sizeof(double), sizeof(double));
}

}  // namespace trainyard
