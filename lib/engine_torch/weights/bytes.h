// Bounds-checked views of untrusted bytes, used by all the readers here. Thread rule: values, no shared state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "util/error.h"

namespace trainyard {

using Bytes = std::span<const std::byte>;

// The file's bytes, mapped read-only. A file cut short by another program while mapped is a SIGBUS (our own writers
// replace by rename): LoadWeights() copies the tensors out and lets go; arrays to learn from stay mapped in a process
// that does nothing else.
class MappedFile {
 public:
  static std::shared_ptr<const MappedFile> Open(const std::filesystem::path &path);
  ~MappedFile();
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;

  Bytes bytes() const { return {static_cast<const std::byte *>(address_), size_}; }

 private:
  MappedFile() = default;

  void *address_ = nullptr;
  size_t size_ = 0;
};

// A little-endian number at `offset`; the caller checked the bounds. Only little-endian machines are supported.
template <typename T>
T LoadLittleEndian(Bytes bytes, size_t offset) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

inline std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

inline Bytes AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// a + b*c style arithmetic on sizes from a file: false on overflow.
inline bool MultiplyAdd(uint64_t a, uint64_t b, uint64_t c, uint64_t *out) {
  uint64_t product;
  return !__builtin_mul_overflow(b, c, &product) && !__builtin_add_overflow(a, product, out);
}

// Text from a file made fit for a message: one line of at most 120 bytes.
std::string Printable(std::string_view text);

// "'x.pth' is truncated: <what>: N bytes expected, M present; copy or download it again".
Error Truncated(const std::filesystem::path &path, const std::string &what, uint64_t expected, uint64_t present);

}  // namespace trainyard
