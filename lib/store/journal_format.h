// Numbers of the journal format (described in journal.h), shared by its writer, its reader and their tests.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

namespace trainyard::journal {

inline constexpr uint32_t kFileMagic = 0x314A5954;  // "TYJ1"
inline constexpr uint32_t kVersion = 1;
inline constexpr uint32_t kFrameMagic = 0x666A7974;  // "tyjf"
inline constexpr uint64_t kHeaderSize = 4096;
inline constexpr uint64_t kFrameHeaderSize = 12;
inline constexpr uint32_t kMaxPayload = (1u << 24) - 1;
inline constexpr uint64_t kCommittedOffset = 128;
inline constexpr uint64_t kSealedOffset = 192;
inline constexpr uint64_t kArmedOffset = 256;
inline constexpr uint64_t kBellOffset = 320;

inline constexpr uint32_t kKindName = 1;
inline constexpr uint32_t kKindPoints = 2;
inline constexpr uint32_t kKindProgress = 3;
inline constexpr uint32_t kKindRecord = 4;
inline constexpr uint64_t kRecordHead = 24;  // of a record's payload, before its JSON

// Both machines trainyard runs on are little-endian, as the format is.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

template <typename T>
T Load(const void *from) {
  T value;
  memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
void Store(void *to, T value) {
  memcpy(to, &value, sizeof value);
}

// Orders what this process reads and writes of a segment against other processes. ThreadSanitizer, which looks at one
// process only, has no fences and warns of them.
inline void Fence() {
#ifndef __SANITIZE_THREAD__
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

constexpr uint64_t FrameSize(uint64_t payload) {
  return (kFrameHeaderSize + payload + 7) & ~uint64_t{7};
}

}  // namespace trainyard::journal
