// The order in which an epoch visits the samples, which depends on (seed, epoch) and the data alone, so that it is the
// same on every machine and after a resume; how ranks share it; and the seeds of steps. Thread rule: functions and
// values; a Sampler's const functions may run concurrently.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "engine_torch/image/random.h"

namespace trainyard {

// Of the same generator as the augmentation, at an index that no sample has.
inline image::SampleRandom OrderRandom(uint64_t seed, uint32_t epoch) {
  return {seed, epoch, std::numeric_limits<uint64_t>::max()};
}

inline std::vector<size_t> ShuffledOrder(uint64_t seed, uint32_t epoch, size_t count) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  image::SampleRandom random = OrderRandom(seed, epoch);
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

// What the epochs of a job visit: each sample once, shuffled; or, with weights, as many samples as there are, each
// place drawn anew with a chance in proportion to its weight (torch's WeightedRandomSampler with replacement).
class Sampler {
 public:
  // weights: of each of the `count` samples, finite, 0 or more, some above 0; or none.
  Sampler(uint64_t seed, size_t count, const std::vector<double> &weights) : seed_(seed), count_(count) {
    std::partial_sum(weights.begin(), weights.end(), std::back_inserter(sums_));
  }

  bool repeats() const { return !sums_.empty(); }

  std::vector<size_t> Order(uint32_t epoch) const {
    if (!repeats()) return ShuffledOrder(seed_, epoch, count_);
    std::vector<size_t> order(count_);
    image::SampleRandom random = OrderRandom(seed_, epoch);
    // Rounding must not lead behind the last weight above 0.
    const double most = std::nextafter(sums_.back(), 0.0);
    for (size_t &place : order) {
      const double drawn = std::min(random.Uniform(0, sums_.back()), most);
      place = static_cast<size_t>(std::upper_bound(sums_.begin(), sums_.end(), drawn) - sums_.begin());
    }
    return order;
  }

  // For each place of an order, how often its sample came before.
  static std::vector<uint32_t> RepeatsIn(const std::vector<size_t> &order, size_t count) {
    std::vector<uint32_t> seen(count), repeats;
    repeats.reserve(order.size());
    for (const size_t sample : order) repeats.push_back(seen[sample]++);
    return repeats;
  }

 private:
  uint64_t seed_;
  size_t count_;
  std::vector<double> sums_;  // of the weights up to each sample
};

// A rank's part of an order (or of what stands beside its places), as torch.utils.data.DistributedSampler deals it out:
// every `ranks`-th from `rank` on. With `padded` all parts are of the same length: what is missing is repeated from the
// start.
template <typename Value>
std::vector<Value> PartOfRank(std::vector<Value> order, int rank, int ranks, bool padded) {
  if (ranks <= 1) return order;
  const auto stride = static_cast<size_t>(ranks);
  const size_t count = order.size();
  if (padded && count > 0) {
    while (order.size() % stride != 0) order.push_back(Value(order[order.size() % count]));
  }
  std::vector<Value> part;
  for (size_t i = static_cast<size_t>(rank); i < order.size(); i += stride) part.push_back(order[i]);
  return part;
}

// What is random in a step (dropout): derived, so that there is no generator to keep in a checkpoint.
inline uint64_t StepSeed(uint64_t seed, int64_t epoch, int64_t step, int rank = 0) {
  const auto words = image::SampleRandom::Mix(
      {static_cast<uint32_t>(step), static_cast<uint32_t>(epoch), 0xD50F0u, static_cast<uint32_t>(rank)},
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return static_cast<uint64_t>(words[0]) << 32 | words[1];
}

}  // namespace trainyard
