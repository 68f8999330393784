#include "util/hash.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <vector>

#include "util/error.h"
#include "util/fs.h"

namespace trainyard {

struct Sha256::State {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  State() = default;
  State(const State &) = delete;
  State &operator=(const State &) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  if (state_->context == nullptr || EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) != 1) {
    throw Error::Internal("OpenSSL cannot start SHA-256");
  }
}
Sha256::Sha256(Sha256 &&) noexcept = default;
Sha256 &Sha256::operator=(Sha256 &&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::Update(const void *data, size_t size) {
  if (EVP_DigestUpdate(state_->context, data, size) != 1) throw Error::Internal("OpenSSL failed in SHA-256");
}

std::array<uint8_t, 32> Sha256::Digest() {
  std::array<uint8_t, 32> digest{};
  if (EVP_DigestFinal_ex(state_->context, digest.data(), nullptr) != 1)
    throw Error::Internal("OpenSSL failed in SHA-256");
  return digest;
}

std::string Sha256::HexDigest() {
  const auto digest = Digest();
  return HexEncode(digest.data(), digest.size());
}

std::string HexEncode(const void *data, size_t size) {
  const auto *bytes = static_cast<const uint8_t *>(data);
  std::string text;
  text.reserve(2 * size);
  for (size_t i = 0; i < size; ++i) {
    text.push_back("0123456789abcdef"[bytes[i] >> 4]);
    text.push_back("0123456789abcdef"[bytes[i] & 15]);
  }
  return text;
}

std::string Sha256Hex(std::string_view data) {
  Sha256 hash;
  hash.Update(data);
  return hash.HexDigest();
}

std::string Sha256File(const std::string &path, uint64_t *out_size) {
  const UniqueFd fd = OpenFile(path, O_RDONLY);
  Sha256 hash;
  std::vector<char> buffer(size_t{256} << 10);
  uint64_t total = 0;
  while (const size_t got = ReadAt(fd.get(), buffer.data(), buffer.size(), total, path)) {
    hash.Update(buffer.data(), got);
    total += got;
  }
  if (out_size != nullptr) *out_size = total;
  return hash.HexDigest();
}

bool IsSha256Hex(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

uint32_t Crc32(const void *data, size_t size, uint32_t start) {
  if (size == 0) return start;  // of a null pointer zlib would begin anew
  return static_cast<uint32_t>(crc32_z(start, static_cast<const Bytef *>(data), size));
}

}  // namespace trainyard
