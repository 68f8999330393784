// Random numbers for augmentation that depend only on (seed, epoch, sample index): not on how many workers there are,
// which of them takes the sample, or where a run was resumed. There is no state to save.
//
// The generator is Philox4x32 with 10 rounds (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2,
// 3", SC11). Each block of four 32-bit numbers is a fixed mixing of
//   1. the key: the low and high half of the seed;
//   2. the counter: {block number within the sample, its top 8 bits the stream; epoch; low half of the index; high half
//      of the index}. Streams of one sample have nothing in common.
//
// Thread rule: a value, used by one thread.
#pragma once

#include <array>
#include <cstdint>

namespace trainyard::image {

class SampleRandom {
 public:
  // `stream` is below 256.
  SampleRandom(uint64_t seed, uint32_t epoch, uint64_t index, uint32_t stream = 0)
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
        counter_{stream << 24, epoch, static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32)} {}

  uint32_t Next() {
    if (used_ == block_.size()) {
      block_ = Mix(counter_, key_);
      ++counter_[0];
      used_ = 0;
    }
    return block_[used_++];
  }

  // Uniform in [low, high), with 53 random bits.
  double Uniform(double low, double high) {
    uint64_t bits = (static_cast<uint64_t>(Next()) << 32 | Next()) >> 11;
    return low + (high - low) * (static_cast<double>(bits) * 0x1p-53);
  }

  // Uniform over the integers [0, limit); the bias is below 2^-32 for any image size.
  int Below(int limit) { return static_cast<int>(static_cast<uint64_t>(Next()) * static_cast<uint64_t>(limit) >> 32); }

  // The mixing itself, for tests against the authors' known answers.
  static std::array<uint32_t, 4> Mix(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
      uint64_t product0 = uint64_t{0xD2511F53} * counter[0];
      uint64_t product1 = uint64_t{0xCD9E8D57} * counter[2];
      counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
                 static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
      key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
    }
    return counter;
  }

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_ = {};
  size_t used_ = 4;
};

}  // namespace trainyard::image
