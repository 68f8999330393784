#include "engine_torch/train/learner.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

#include "engine_torch/kernels/fast_kernels.h"

namespace trainyard {
namespace {

bool Draws(const ImageClassifier &model) {
  const auto modules = model.modules();
  return std::any_of(modules.begin(), modules.end(), [](const auto &module) { return DrawsInTraining(*module); });
}

}  // namespace

Learner::Learner(std::shared_ptr<ImageClassifier> model, const TrainSettings &settings, Input input,
                 const std::vector<int64_t> &class_images, std::function<void(int64_t)> on_smaller_parts)
    : model_(std::move(model)),
      input_(input),
      skip_(settings.nan_policy == NanPolicy::kSkip),
      fast_kernels_(settings.fast_kernels),
      clip_norm_(settings.clip_norm),
      clip_value_(settings.clip_value),
      loss_(settings.loss, class_images, model_->parameters().front().device()),
      optimizer_(MakeOptimizer(settings.optimizer, GroupParameters(*model_, settings.optimizer.lr_factors))),
      average_(settings.ema_decay, optimizer_->groups()),
      draws_(Draws(*model_)),
      on_smaller_parts_(std::move(on_smaller_parts)),
      part_(settings.micro_batch_size) {
  for (const at::Tensor &buffer : model_->buffers()) {
    buffers_.push_back(buffer);
    buffers_before_.push_back(buffer.clone());
  }
}

// Of a step: LibTorch's kernels or the engine's.
at::Tensor Learner::TrainLogits(const at::Tensor &inputs) const {
  const FastKernels kernels(fast_kernels_);
  return Logits(inputs);
}

at::Tensor Learner::Logits(const at::Tensor &inputs) const {
  switch (input_) {
    case Input::kImages:
      return model_->forward(inputs);
    case Input::kFeatures:
      return model_->head(inputs);
    case Input::kFrozenBackbone:
      break;
  }
  at::Tensor features;
  {
    const c10::NoGradGuard no_grad;
    features = model_->features(inputs);
  }
  return model_->head(features);
}

Learner::Outcome Learner::Gradients(const at::Tensor &inputs, const at::Tensor &targets, uint64_t seed) {
  if (draws_) at::manual_seed(seed);
  optimizer_->ZeroGradients();
  if (!buffers_.empty()) at::_foreach_copy_(buffers_before_, buffers_);
  const int64_t images = targets.size(0);
  const int64_t part = part_ > 0 ? std::min(part_, images) : images;
  const double weight = loss_.Weight(targets);
  Outcome outcome;
  for (int64_t first = 0; first < images; first += part) {
    const int64_t count = std::min(part, images - first);
    const at::Tensor part_targets = targets.narrow(0, first, count);
    const at::Tensor logits = TrainLogits(inputs.narrow(0, first, count));
    const at::Tensor loss = loss_.Sum(logits, part_targets) / weight;
    loss.backward();
    const at::Tensor correct = loss_.Correct(logits.detach(), part_targets);
    outcome.loss = first == 0 ? loss.detach() : outcome.loss + loss.detach();
    outcome.correct = first == 0 ? correct : outcome.correct + correct;
  }
  return outcome;
}

void Learner::RestoreBuffers() {
  if (!buffers_.empty()) at::_foreach_copy_(buffers_, buffers_before_);
}

// Whether there is something smaller to try than `images` in parts.
bool Learner::Shrink(int64_t images) {
  const int64_t now = part_ > 0 ? std::min(part_, images) : images;
  if (now <= 1) return false;
  optimizer_->ZeroGradients();
  RestoreBuffers();
  if (at::globalContext().hasCUDA()) c10::getDeviceAllocator(c10::DeviceType::CUDA)->emptyCache();
  part_ = (now + 1) / 2;
  on_smaller_parts_(part_);
  return true;
}

Learner::Outcome Learner::Step(const at::Tensor &inputs, const at::Tensor &targets, const StepRates &rates,
                               uint64_t seed) {
  Outcome outcome;
  for (bool done = false; !done;) {
    try {
      outcome = Gradients(inputs, targets, seed);
      done = true;
    } catch (const c10::OutOfMemoryError &) {
      if (!Shrink(targets.size(0))) throw;
    }
  }
  if (skip_ && !std::isfinite(outcome.loss.item<double>())) {
    outcome.skipped = true;
    optimizer_->ZeroGradients();
    RestoreBuffers();
    return outcome;
  }
  ClipGradients(optimizer_->groups(), clip_norm_, clip_value_);
  optimizer_->Step(rates);
  average_.Update();
  return outcome;
}

}  // namespace trainyard
