#include "engine_torch/parallel/gradient_buckets.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <utility>

namespace trainyard {

// Called by autograd when a parameter has its gradient of one backward pass.
struct GradientBuckets::Hook final : torch::autograd::PostAccumulateGradHook {
  Hook(GradientBuckets *the_owner, size_t the_slot) : owner(the_owner), slot(the_slot) {}
  void operator()(const torch::autograd::Variable & /*parameter*/) override { owner->Complete(slot); }

  GradientBuckets *owner;
  size_t slot;
};

GradientBuckets::GradientBuckets(Collective *collective, const std::vector<at::Tensor> &parameters, BucketSizes sizes)
    : collective_(collective), slots_(parameters.size()) {
  MakeBuckets(parameters, sizes);
  for (size_t i = 0; i < slots_.size(); ++i) {
    torch::autograd::impl::set_post_acc_grad_hooks(slots_[i].parameter, std::make_unique<Hook>(this, i));
  }
}

GradientBuckets::~GradientBuckets() {
  for (const Slot &slot : slots_) torch::autograd::impl::set_post_acc_grad_hooks(slot.parameter, nullptr);
}

void GradientBuckets::MakeBuckets(const std::vector<at::Tensor> &parameters, BucketSizes sizes) {
  int64_t bytes = 0;
  std::vector<int64_t> elements;
  for (size_t i = parameters.size(); i-- > 0;) {
    const at::Tensor &parameter = parameters[i];
    const int64_t limit = buckets_.size() <= 1 ? sizes.first_bytes : sizes.bytes;
    const bool another = buckets_.empty() || bytes + static_cast<int64_t>(parameter.nbytes()) > limit ||
                         parameters[buckets_.back().slots[0]].scalar_type() != parameter.scalar_type();
    if (another) {
      buckets_.emplace_back();
      elements.push_back(0);
      bytes = 0;
    }
    buckets_.back().slots.push_back(i);
    elements.back() += parameter.numel();
    bytes += static_cast<int64_t>(parameter.nbytes());
    slots_[i].parameter = parameter;
    slots_[i].bucket = buckets_.size() - 1;
  }
  for (size_t b = 0; b < buckets_.size(); ++b) {
    Bucket &bucket = buckets_[b];
    bucket.flat = at::zeros({elements[b]}, parameters[bucket.slots[0]].options().requires_grad(false));
    int64_t first = 0;
    for (const size_t i : bucket.slots) {
      const at::Tensor &parameter = slots_[i].parameter;
      // The fused optimizers want gradients in the layout of their parameters.
      slots_[i].view = parameter.is_non_overlapping_and_dense()
                           ? bucket.flat.as_strided(parameter.sizes(), parameter.strides(), first)
                           : bucket.flat.narrow(0, first, parameter.numel()).view(parameter.sizes());
      first += parameter.numel();
    }
  }
}

void GradientBuckets::Begin() {
  next_ = 0;
  for (Slot &slot : slots_) slot.used = false;
  for (Bucket &bucket : buckets_) bucket.work.reset();
  Restart();
}

void GradientBuckets::Restart() {
  armed_ = false;
  for (size_t b = next_; b < buckets_.size(); ++b) {
    for (const size_t i : buckets_[b].slots) slots_[i].there = false;
    buckets_[b].missing = buckets_[b].slots.size();
  }
}

void GradientBuckets::Take(Slot *slot) {
  const c10::NoGradGuard no_grad;
  at::Tensor &gradient = at::Tensor(slot->parameter).mutable_grad();
  slot->used = gradient.defined();
  if (gradient.defined()) {
    slot->view.copy_(gradient);
  } else {
    slot->view.zero_();
  }
  gradient = slot->view;
  slot->there = true;
}

void GradientBuckets::Complete(size_t slot) {
  // A bucket that was sent keeps what it has: the pass is a repetition.
  if (!armed_ || slots_[slot].bucket < next_ || slots_[slot].there) return;
  Take(&slots_[slot]);
  --buckets_[slots_[slot].bucket].missing;
  SendFull();
}

void GradientBuckets::SendFull() {
  while (next_ < buckets_.size() && buckets_[next_].missing == 0) Send(&buckets_[next_++]);
}

void GradientBuckets::Send(Bucket *bucket) {
  bucket->work = collective_->AllReduce(bucket->flat, Collective::Reduction::kSum);
}

std::vector<bool> GradientBuckets::Used() const {
  std::vector<bool> used(slots_.size());
  for (size_t i = 0; i < slots_.size(); ++i)
    used[i] = slots_[i].there ? slots_[i].used : slots_[i].parameter.grad().defined();
  return used;
}

void GradientBuckets::Finish(const std::vector<at::Tensor> &also) {
  for (; next_ < buckets_.size(); ++next_) {
    Bucket &bucket = buckets_[next_];
    for (const size_t i : bucket.slots) {
      if (!slots_[i].there) Take(&slots_[i]);
    }
    Send(&bucket);
  }
  std::vector<std::unique_ptr<Collective::Work>> last;
  for (const at::Tensor &tensor : also) last.push_back(collective_->AllReduce(tensor, Collective::Reduction::kSum));
  for (Bucket &bucket : buckets_) bucket.work->Wait();
  for (const auto &work : last) work->Wait();
  armed_ = false;
  for (const Slot &slot : slots_) at::Tensor(slot.parameter).mutable_grad() = slot.view;
}

void GradientBuckets::Forget(const std::vector<bool> &used) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!used[i]) at::Tensor(slots_[i].parameter).mutable_grad().reset();
  }
}

}  // namespace trainyard
