// SHA-256 (OpenSSL) and CRC-32 (zlib). Thread rule: functions are thread-safe; a Sha256 belongs to one thread at a
// time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace trainyard {

class Sha256 {
 public:
  Sha256();
  Sha256(Sha256 &&) noexcept;
  Sha256 &operator=(Sha256 &&) noexcept;
  ~Sha256();
  void Update(const void *data, size_t size);
  void Update(std::string_view data) { Update(data.data(), data.size()); }
  std::array<uint8_t, 32> Digest();  // ends it; call once
  std::string HexDigest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string HexEncode(const void *data, size_t size);
std::string Sha256Hex(std::string_view data);
// Reads the file once; `out_size`, when given, is set to the bytes read.
std::string Sha256File(const std::string &path, uint64_t *out_size = nullptr);
bool IsSha256Hex(std::string_view text);  // 64 lower-case hexadecimal digits

uint32_t Crc32(const void *data, size_t size, uint32_t start = 0);

}  // namespace trainyard
