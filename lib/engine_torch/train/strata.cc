#include "engine_torch/train/strata.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "util/error.h"
#include "util/hash.h"
#include "util/text.h"

namespace trainyard {
namespace {

// The first 64 bits of a hash, which are in its order: all of it would be 100 bytes for each sample of millions.
uint64_t OrderOf(const std::string &text) {
  const std::string hash = Sha256Hex(text);
  uint64_t first = 0;
  std::from_chars(hash.data(), hash.data() + 16, first, 16);
  return first;
}

}  // namespace

size_t StratumOfLabels(const std::vector<int32_t> &labels, const std::vector<int64_t> &counts) {
  if (labels.empty()) return counts.size();
  return static_cast<size_t>(*std::min_element(labels.begin(), labels.end(), [&](int32_t a, int32_t b) {
    return counts[static_cast<size_t>(a)] < counts[static_cast<size_t>(b)];
  }));
}

std::vector<bool> ChooseApart(double fraction, uint64_t seed, const std::vector<size_t> &strata,
                              const std::function<std::string(size_t sample)> &name) {
  std::map<size_t, std::vector<std::pair<uint64_t, size_t>>> groups;  // (hash, sample)
  const std::string prefix = std::to_string(seed) + "\n";
  for (size_t i = 0; i < strata.size(); ++i) groups[strata[i]].emplace_back(OrderOf(prefix + name(i)), i);
  std::vector<bool> taken(strata.size());
  for (auto &[stratum, samples] : groups) {
    if (samples.size() < 2) continue;
    std::sort(samples.begin(), samples.end());
    const double share = std::floor(static_cast<double>(samples.size()) * fraction + 0.5);
    const size_t count = std::clamp<size_t>(static_cast<size_t>(share), 1, samples.size() - 1);
    for (size_t i = 0; i < count; ++i) taken[samples[i].second] = true;
  }
  return taken;
}

std::vector<double> EqualisingWeights(const std::vector<size_t> &strata, const std::vector<int64_t> &counts) {
  const auto without = std::count(strata.begin(), strata.end(), counts.size());
  std::vector<double> weights;
  weights.reserve(strata.size());
  for (const size_t stratum : strata) {
    weights.push_back(1 / static_cast<double>(stratum == counts.size() ? without : counts[stratum]));
  }
  return weights;
}

void CheckSumOfWeights(const std::vector<double> &weights, const std::string &where) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (sum > 0 && std::isfinite(sum)) return;
  throw Error::InvalidArgument("the weights to draw by add up to " + FormatDouble(sum) + ": " + where +
                                   " needs numbers above 0 that can be added",
                               {{"key", "data.sampling"}});
}

}  // namespace trainyard
