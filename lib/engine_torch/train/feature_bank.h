// The features of a frozen backbone, kept: what model.cache_features is about. A few views of each training image are
// drawn once and go through the backbone once; epochs take them in turn, so that all that is left of a step is the
// head. Exact where the transform is fixed (one view), a recipe of its own where it is random: the images that the head
// sees repeat after `views` epochs. Thread rule: one thread.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "engine_torch/train/dataset.h"
#include "engine_torch/train/loader.h"
#include "engine_torch/train/memory_budget.h"
#include "engine_torch/train/sampler.h"

namespace trainyard {

class FeatureBank {
 public:
  // Data set and sampler are borrowed. `rank` of `ranks`: whose part of an epoch's order the batches are of. Each rank
  // keeps the features of all images: an epoch's order brings any of them.
  FeatureBank(const Dataset *dataset, const Sampler *sampler, int64_t views, int64_t batch_size,
              std::shared_ptr<MemoryBudget> budget, int rank = 0, int ranks = 1)
      : dataset_(dataset),
        sampler_(sampler),
        batch_size_(batch_size),
        budget_(std::move(budget)),
        rank_(rank),
        ranks_(ranks),
        views_(views) {}

  // The batches of an epoch (from 1), from its `first_step` on (steps before it are left out).
  void Begin(int64_t epoch, int64_t first_step);
  // Whether the features for that epoch are there. If not: the `view_epoch` whose random numbers make them, and Add for
  // each chunk of a walk over the data set.
  bool IsFilled() const { return views_[view_].filled; }
  uint32_t view_epoch() const { return static_cast<uint32_t>(view_ + 1); }
  // Throws kOutOfMemory when they do not fit into what is left for caches.
  void Add(const Chunk &chunk);
  void Filled() { views_[view_].filled = true; }

  // One batch each; nullptr at the end.
  std::unique_ptr<Chunk> Next();

 private:
  struct View {
    at::Tensor features;      // [samples, ...]; rows of bad images are not set
    std::vector<bool> there;  // by sample
    bool filled = false;
  };

  const Dataset *dataset_;
  const Sampler *sampler_;
  const int64_t batch_size_;
  std::shared_ptr<MemoryBudget> budget_;
  const int rank_, ranks_;
  std::vector<View> views_;
  size_t view_ = 0;
  std::vector<size_t> order_;
  size_t place_ = 0;
};

}  // namespace trainyard
