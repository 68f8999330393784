#include "util/random.h"

#include <sys/random.h>

#include <cerrno>
#include <vector>

#include "util/error.h"

namespace trainyard {

void RandomBytes(void *out, size_t size) {
  auto *bytes = static_cast<uint8_t *>(out);
  while (size > 0) {
    const ssize_t got = getrandom(bytes, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error::FromErrno(errno, "read", "random bytes of the kernel");
    bytes += got;
    size -= static_cast<size_t>(got);
  }
}

uint64_t RandomUint64() {
  uint64_t value = 0;
  RandomBytes(&value, sizeof value);
  return value;
}

std::string RandomBase32(size_t length) {
  std::vector<uint8_t> bytes(length);
  RandomBytes(bytes.data(), length);
  std::string text;
  for (uint8_t byte : bytes) text.push_back("abcdefghijklmnopqrstuvwxyz234567"[byte & 31]);
  return text;
}

}  // namespace trainyard
