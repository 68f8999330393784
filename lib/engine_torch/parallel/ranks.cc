#include "engine_torch/parallel/ranks.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <sched.h>

#include <utility>

#include "util/boot.h"
#include "util/hash.h"

namespace trainyard {
namespace {

// Ranks with the same number compete for the same CPUs. Exact in a double.
double PlaceOfThisProcess() {
  const std::string boot = BootId() + HostName();
  uint32_t crc = Crc32(boot.data(), boot.size());
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) crc = Crc32(&cpus, sizeof cpus, crc);
  return static_cast<double>(crc);
}

}  // namespace

Ranks::Ranks(std::unique_ptr<Collective> collective) : collective_(std::move(collective)) {
  std::vector<double> places(static_cast<size_t>(count()));
  const double own = PlaceOfThisProcess();
  places[static_cast<size_t>(rank())] = own;
  Sum(&places);
  on_this_machine_ = 0;
  for (const double place : places) on_this_machine_ += place == own ? 1 : 0;
}

Ranks Ranks::Open(int rank, int world_size, c10::Device device) {
  return world_size > 1 ? Ranks(OpenCollective(rank, world_size, device)) : Ranks();
}

void Ranks::SumTensor(const at::Tensor &values) const {
  if (several()) collective_->AllReduce(values, Collective::Reduction::kSum)->Wait();
}

void Ranks::Sum(std::vector<double> *values) const {
  if (!several()) return;
  const auto count = static_cast<int64_t>(values->size());
  SumTensor(at::from_blob(values->data(), {count}, at::TensorOptions(at::kDouble)));
}

int64_t Ranks::Max(int64_t value) const {
  if (!several()) return value;
  at::Tensor most = at::full({1}, value, at::TensorOptions(at::kLong));
  collective_->AllReduce(most, Collective::Reduction::kMax)->Wait();
  return most.item<int64_t>();
}

bool Ranks::Same(int64_t value) const {
  if (!several()) return true;
  at::Tensor most_and_least = at::tensor({value, -value}, at::TensorOptions(at::kLong));
  collective_->AllReduce(most_and_least, Collective::Reduction::kMax)->Wait();
  return most_and_least[0].item<int64_t>() == -most_and_least[1].item<int64_t>();
}

void Ranks::Share(const std::vector<at::Tensor> &tensors) const {
  if (!several()) return;
  const c10::NoGradGuard no_grad;
  for (const at::Tensor &tensor : tensors) {
    // Channels-last weights are no plain arrays; their order in memory is the same on all ranks.
    const at::Tensor values = tensor.detach();
    const at::Tensor flat = values.is_non_overlapping_and_dense() ? values : values.contiguous();
    collective_->Broadcast(flat, 0)->Wait();
    if (!flat.is_same(values)) values.copy_(flat);
  }
}

void Ranks::Barrier() const {
  if (several()) collective_->Barrier();
}

void Ranks::Close() {
  if (several()) collective_->Close();
}

uint32_t ChecksumOf(const std::vector<at::Tensor> &tensors) {
  uint32_t crc = 0;
  for (const at::Tensor &tensor : tensors) {
    const at::Tensor values = tensor.detach().to(c10::kCPU).contiguous();
    crc = Crc32(values.const_data_ptr(), values.nbytes(), crc);
  }
  return crc;
}

}  // namespace trainyard
