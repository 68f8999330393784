// The gradients of a step, added up over all ranks while the backward pass is still at it: parameters share flat
// buckets, the last ones first, as the backward pass comes to them; a bucket is sent off when its gradients are there.
// The first bucket is small, so that sending begins early.
//
// A step: Begin(); backward passes; Arm() before the last of them; Finish(), after which each parameter's grad is a
// view of its bucket and the sum over all ranks. Buckets are sent in their order, whatever order they become full in:
// all ranks do the same. Memory that runs out in between: Restart() and the passes again; what was sent already stays
// as it is, it was whole.
//
// Thread rule: one thread, and the autograd thread that runs its backward pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "engine_torch/parallel/collective.h"

namespace trainyard {

struct BucketSizes {
  int64_t first_bytes = int64_t{1} << 20;
  int64_t bytes = int64_t{8} << 20;
};

class GradientBuckets {
 public:
  // `parameters`: those that are trained, in the model's order; the same on all ranks.
  GradientBuckets(Collective *collective, const std::vector<at::Tensor> &parameters, BucketSizes sizes = {});
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets &) = delete;
  GradientBuckets &operator=(const GradientBuckets &) = delete;

  void Begin();
  void Arm() { armed_ = true; }
  void Restart();
  // Sends what is left (zeros for what had no gradient here) and waits for all, as Collective::Work does. `also`: small
  // tensors that are added up behind the buckets, for what is known after the backward pass only.
  void Finish(const std::vector<at::Tensor> &also);
  // By parameter: whether this rank had a gradient for it. Valid after Begin() and the passes, before Finish() too.
  std::vector<bool> Used() const;
  // Takes the gradients away again of parameters that no rank used, as if there had been no buckets.
  void Forget(const std::vector<bool> &used);

  size_t size() const { return buckets_.size(); }

 private:
  struct Slot {
    at::Tensor parameter;
    at::Tensor view;  // of the bucket, in the parameter's shape and layout
    size_t bucket = 0;
    bool there = false;  // the view has this rank's gradient
    bool used = false;
  };
  struct Bucket {
    at::Tensor flat;
    std::vector<size_t> slots;
    size_t missing = 0;
    std::unique_ptr<Collective::Work> work;
  };
  struct Hook;

  void MakeBuckets(const std::vector<at::Tensor> &parameters, BucketSizes sizes);
  void Complete(size_t slot);
  void Take(Slot *slot);
  void SendFull();
  void Send(Bucket *bucket);

  Collective *collective_;
  std::vector<Slot> slots_;  // in the model's order
  std::vector<Bucket> buckets_;
  size_t next_ = 0;  // the bucket to send next
  bool armed_ = false;
};

}  // namespace trainyard
