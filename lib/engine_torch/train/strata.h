// Samples by class, for what has to be fair to classes: a share that is set apart, and weights to draw by. A stratum is
// a class; of samples with several labels, those that have the same rarest one (of equally rare ones the first), and
// those without any (the number of classes); of samples with numbers, all. Thread rule: functions.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace trainyard {

// `labels`: of one sample; `counts`: samples with each label.
size_t StratumOfLabels(const std::vector<int32_t> &labels, const std::vector<int64_t> &counts);

// Which samples are set apart, of a stratum each. Those of a stratum are put in the order of
// SHA-256("<seed>\n<name>"), and the first v of n are taken:
//   v = min(max(floor(n * fraction + 0.5), 1), n - 1), of a single one none.
// So what is taken depends on the seed and on the names, not on the order of the samples.
std::vector<bool> ChooseApart(double fraction, uint64_t seed, const std::vector<size_t> &strata,
                              const std::function<std::string(size_t sample)> &name);

// A weight for each sample such that each class is drawn equally often: 1 / its samples (`counts`).
std::vector<double> EqualisingWeights(const std::vector<size_t> &strata, const std::vector<int64_t> &counts);

// Throws kInvalidArgument when they do not add up to a finite number above 0. `where`: "column 'weight'".
void CheckSumOfWeights(const std::vector<double> &weights, const std::string &where);

}  // namespace trainyard
