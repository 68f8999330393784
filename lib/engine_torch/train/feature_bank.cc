#include "engine_torch/train/feature_bank.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "util/error.h"

namespace trainyard {

void FeatureBank::Begin(int64_t epoch, int64_t first_step) {
  view_ = static_cast<size_t>(epoch - 1) % views_.size();
  order_ = PartOfRank(sampler_->Order(static_cast<uint32_t>(epoch)), rank_, ranks_, /*padded=*/true);
  place_ = std::min(order_.size(), static_cast<size_t>(first_step * batch_size_));
}

void FeatureBank::Add(const Chunk &chunk) {
  View &view = views_[view_];
  if (chunk.samples.empty()) return;
  if (!view.features.defined()) {
    std::vector<int64_t> shape = chunk.inputs.sizes().vec();
    const auto samples = static_cast<int64_t>(dataset_->size());
    const uint64_t bytes = chunk.inputs.nbytes() / static_cast<uint64_t>(shape[0]) * static_cast<uint64_t>(samples);
    if (!budget_->Take(bytes)) {
      throw Error(Status::kOutOfMemory,
                  "the features of " + std::to_string(samples) + " images take " + std::to_string(bytes >> 20) +
                      " MB for each view, more than is left: set a smaller model.cache_features, or data.cache memory",
                  {{"key", "model.cache_features"}});
    }
    shape[0] = samples;
    view.features = at::empty(shape, chunk.inputs.options(), chunk.inputs.suggest_memory_format());
    view.there.resize(dataset_->size());
  }
  for (size_t i = 0; i < chunk.samples.size(); ++i) {
    view.features[static_cast<int64_t>(chunk.samples[i])].copy_(chunk.inputs[static_cast<int64_t>(i)]);
    view.there[chunk.samples[i]] = true;
  }
}

std::unique_ptr<Chunk> FeatureBank::Next() {
  if (place_ >= order_.size()) return nullptr;
  const View &view = views_[view_];
  const size_t end = std::min(order_.size(), place_ + static_cast<size_t>(batch_size_));
  auto chunk = std::make_unique<Chunk>();
  std::vector<int64_t> rows;
  for (; place_ < end; ++place_) {
    const size_t sample = order_[place_];
    if (view.there.empty() || !view.there[sample]) continue;
    chunk->samples.push_back(sample);
    rows.push_back(static_cast<int64_t>(sample));
  }
  chunk->batches = {static_cast<int64_t>(rows.size())};
  chunk->targets = dataset_->Targets(chunk->samples);
  // In the backbone's layout: the head's steps are then the same as without a bank, bit by bit.
  chunk->inputs = rows.empty() ? at::empty({0})
                               : view.features.index_select(0, at::tensor(rows, at::kLong))
                                     .contiguous(view.features.suggest_memory_format());
  return chunk;
}

}  // namespace trainyard
