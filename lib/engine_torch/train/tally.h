// The mean loss and the share of right answers of some batches. On a GPU reading a value waits for all that was started
// before: the values of many batches are read at once, and as seldom as is asked for. Thread rule: one thread at a
// time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace trainyard {

class Tally {
 public:
  // What a checkpoint keeps.
  struct Totals {
    double loss = 0;  // summed over samples
    int64_t correct = 0;
    int64_t samples = 0;
    int64_t skipped = 0;  // batches that were left out
  };
  struct Bad {
    int64_t step = 0, samples = 0;
    double loss = 0;
  };

  // most_unread: batches whose values may be waited for together; 0: each is read at once. counts: there are right
  // answers, not only numbers.
  Tally(int64_t most_unread, bool counts) : most_unread_(most_unread), counts_(counts) {}

  // loss: of the batch, times `weight`.
  void Add(int64_t step, int64_t samples, const at::Tensor &loss, double weight, const at::Tensor &correct);
  void Skip() { ++totals_.skipped; }
  // What was added and not read yet.
  void Read();
  void Restart(const Totals &totals);

  // Of what was read.
  const Totals &totals() const { return totals_; }
  double MeanLoss() const { return Mean(totals_.loss); }
  // NaN where numbers are learnt.
  double Accuracy() const {
    return counts_ ? Mean(static_cast<double>(totals_.correct)) : std::numeric_limits<double>::quiet_NaN();
  }
  // The first batch whose loss is no finite number.
  const std::optional<Bad> &bad() const { return bad_; }

 private:
  struct Unread {
    int64_t step, samples;
    at::Tensor loss;
    double weight;
    at::Tensor correct;
  };
  double Mean(double sum) const { return sum / static_cast<double>(totals_.samples); }
  void Count(int64_t step, int64_t samples, double loss, int64_t correct);

  const int64_t most_unread_;
  const bool counts_;
  std::vector<Unread> unread_;
  Totals totals_;
  std::optional<Bad> bad_;
};

}  // namespace trainyard
