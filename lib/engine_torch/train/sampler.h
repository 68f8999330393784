// The order in which an epoch visits the samples: a permutation that depends on (seed, epoch, count) alone, so that it
// is the same on every machine and after a resume; and the seeds of steps. Thread rule: functions.
#pragma once

#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "engine_torch/image/random.h"

namespace trainyard {

inline std::vector<size_t> ShuffledOrder(uint64_t seed, uint32_t epoch, size_t count) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  // Of the same generator as the augmentation, at an index that no sample has.
  image::SampleRandom random(seed, epoch, std::numeric_limits<uint64_t>::max());
  for (size_t left = count; left > 1; --left) {
    const auto pick = static_cast<size_t>(random.Below(static_cast<int>(left)));
    std::swap(order[left - 1], order[pick]);
  }
  return order;
}

inline std::vector<size_t> SequentialOrder(size_t count) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  return order;
}

// What is random in a step (dropout): derived, so that there is no generator to keep in a checkpoint.
inline uint64_t StepSeed(uint64_t seed, int64_t epoch, int64_t step) {
  const auto words = image::SampleRandom::Mix({static_cast<uint32_t>(step), static_cast<uint32_t>(epoch), 0xD50F0u, 0},
                                              {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return static_cast<uint64_t>(words[0]) << 32 | words[1];
}

}  // namespace trainyard
