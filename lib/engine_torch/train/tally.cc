#include "engine_torch/train/tally.h"

#include <ATen/Functions.h>

#include <cmath>
#include <utility>

namespace trainyard {

void Tally::Add(int64_t step, int64_t samples, const at::Tensor &loss, double weight, const at::Tensor &correct) {
  if (most_unread_ == 0) {
    Count(step, samples, loss.item<double>() / weight, counts_ ? correct.item<int64_t>() : 0);
    return;
  }
  unread_.push_back({step, samples, loss.detach(), weight, correct});
  if (static_cast<int64_t>(unread_.size()) >= most_unread_) Read();
}

void Tally::Read() {
  if (unread_.empty()) return;
  const std::vector<Unread> unread = std::exchange(unread_, {});
  std::vector<at::Tensor> losses, correct;
  for (const Unread &batch : unread) {
    losses.push_back(batch.loss);
    if (counts_) correct.push_back(batch.correct);
  }
  const at::Tensor loss_values = at::stack(losses).to(c10::kCPU, at::kDouble);
  const at::Tensor correct_values = counts_ ? at::stack(correct).to(c10::kCPU, at::kLong) : at::Tensor();
  for (size_t i = 0; i < unread.size(); ++i) {
    Count(unread[i].step, unread[i].samples, loss_values.const_data_ptr<double>()[i] / unread[i].weight,
          counts_ ? correct_values.const_data_ptr<int64_t>()[i] : 0);
  }
}

void Tally::Count(int64_t step, int64_t samples, double loss, int64_t correct) {
  if (!std::isfinite(loss) && !bad_) bad_ = Bad{step, samples, loss};
  totals_.loss += loss * static_cast<double>(samples);
  totals_.correct += correct;
  totals_.samples += samples;
}

void Tally::Restart(const Totals &totals) {
  unread_.clear();
  totals_ = totals;
  bad_.reset();
}

}  // namespace trainyard
