#include "engine_torch/train/learner.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "engine_torch/kernels/fast_kernels.h"
#include "engine_torch/parallel/sync_batch_norm.h"
#include "engine_torch/train/precision.h"
#include "util/log.h"

namespace trainyard {
namespace {

// Tensors of one type together: a GPU then copies many at once.
void CopyAll(const std::vector<at::Tensor> &to, const std::vector<at::Tensor> &from) {
  std::map<at::ScalarType, std::pair<std::vector<at::Tensor>, std::vector<at::Tensor>>> by_type;
  for (size_t i = 0; i < to.size(); ++i) {
    auto &[targets, sources] = by_type[to[i].scalar_type()];
    targets.push_back(to[i]);
    sources.push_back(from[i]);
  }
  for (const auto &[type, lists] : by_type) at::_foreach_copy_(lists.first, lists.second);
}

bool Draws(const ImageClassifier &model) {
  const auto modules = model.modules();
  return std::any_of(modules.begin(), modules.end(), [](const auto &module) { return DrawsInTraining(*module); });
}

std::vector<at::Tensor> Trained(const ImageClassifier &model) {
  std::vector<at::Tensor> parameters = model.parameters();
  std::erase_if(parameters, [](const at::Tensor &parameter) { return !parameter.requires_grad(); });
  return parameters;
}

// Of sum / weight, which it answers. The division's gradient is known, and autograd need not find it: of a small
// network's step that is a twentieth.
at::Tensor Backward(const at::Tensor &sum, double weight, const GradScaler &scaler) {
  if (scaler.enabled() || sum.scalar_type() != at::kFloat) {
    const at::Tensor loss = sum / weight;
    scaler.Scale(loss).backward();
    return loss.detach();
  }
  // As float32 divides.
  sum.backward(at::scalar_tensor(1.0F / static_cast<float>(weight), sum.options()));
  return sum.detach() / weight;
}

}  // namespace

Learner::Learner(std::shared_ptr<ImageClassifier> model, const TrainSettings &settings, Input input,
                 const std::vector<int64_t> &class_images, std::function<void(int64_t)> on_smaller_parts,
                 const Ranks *ranks)
    : model_(std::move(model)),
      input_(input),
      skip_(settings.nan_policy == NanPolicy::kSkip),
      // They are float32's; autocast is to see every operation.
      fast_kernels_(settings.fast_kernels && settings.precision != Precision::kBf16 &&
                    settings.precision != Precision::kFp16),
      precision_(settings.precision),
      device_(model_->parameters().front().device()),
      clip_norm_(settings.clip_norm),
      clip_value_(settings.clip_value),
      loss_(settings.loss, class_images, device_),
      optimizer_(MakeOptimizer(settings.optimizer, GroupParameters(*model_, settings.optimizer.lr_factors))),
      average_(settings.ema_decay, optimizer_->groups()),
      scaler_(NeedsScaling(precision_), device_),
      draws_(Draws(*model_)),
      ranks_(ranks),
      on_smaller_parts_(std::move(on_smaller_parts)),
      part_(settings.micro_batch_size) {
  for (const at::Tensor &buffer : model_->buffers()) {
    buffers_.push_back(buffer);
    buffers_before_.push_back(buffer.clone());
  }
  if (ranks_ != nullptr && ranks_->several()) {
    buckets_ = std::make_unique<GradientBuckets>(ranks_->collective(), Trained(*model_));
    synchronised_ = settings.sync_batch_norm && input_ != Input::kFeatures &&
                    SynchroniseBatchNorms(model_.get(), ranks_->collective()) > 0;
  }
  PrepareGraph(settings);
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

Learner::Outcome Learner::Gradients(const at::Tensor &inputs, const at::Tensor &targets, double weight) {
  optimizer_->ZeroGradients();
  CopyAll(buffers_before_, buffers_);
  const int64_t images = targets.size(0);
  const int64_t part = std::max<int64_t>(part_ > 0 ? std::min(part_, images) : images, 1);
  if (buckets_) buckets_->Restart();
  const bool whole = part == images;
  Outcome outcome;
  // Who has no images still waits with those who have, layer by layer.
  for (int64_t first = 0; first < images || (first == 0 && synchronised_); first += part) {
    const int64_t count = std::min(part, images - first);
    const at::Tensor part_targets = whole ? targets : targets.narrow(0, first, count);
    at::Tensor logits, sum;
    {
      const Autocast autocast(precision_, device_.type());
      logits = TrainLogits(whole ? inputs : inputs.narrow(0, first, count));
      sum = loss_.Sum(logits, part_targets);
    }
    if (buckets_ && first + part >= images) buckets_->Arm();
    const at::Tensor loss = Backward(sum, weight, scaler_);
    const at::Tensor correct = loss_.Correct(logits.detach(), part_targets);
    outcome.loss = first == 0 ? loss : outcome.loss + loss;
    outcome.correct = first == 0 ? correct : outcome.correct + correct;
  }
  return outcome;
}

// Of all ranks: gradients, loss, right answers. Loss and answers stay on the device; which parameters have a gradient
// is known to the host, and is not waited for with them.
void Learner::AddUp(Outcome *outcome) {
  std::vector<bool> used = buckets_->Used();
  at::Tensor by_host = at::zeros({static_cast<int64_t>(used.size())}, at::TensorOptions(at::kDouble));
  auto *values = by_host.mutable_data_ptr<double>();
  for (size_t i = 0; i < used.size(); ++i) values[i] = used[i] ? 1 : 0;
  at::Tensor by_device = at::zeros({2}, at::TensorOptions(at::kDouble).device(device_));
  if (outcome->loss.defined()) {
    by_device[0].copy_(outcome->loss);
    by_device[1].copy_(outcome->correct);
  }
  if (device_.is_cpu()) {
    // One message less.
    at::Tensor both = at::cat({by_device, by_host});
    buckets_->Finish({both});
    by_device = both.narrow(0, 0, 2);
    by_host = both.narrow(0, 2, by_host.numel());
  } else {
    buckets_->Finish({by_device, by_host});
  }
  outcome->loss = by_device[0];
  outcome->correct = by_device[1].to(at::kLong);
  values = by_host.mutable_data_ptr<double>();
  for (size_t i = 0; i < used.size(); ++i) used[i] = values[i] > 0;
  buckets_->Forget(used);
}

void Learner::RestoreBuffers() {
  CopyAll(buffers_, buffers_before_);
}

// Whether there is something smaller to try than `images` in parts.
bool Learner::Shrink(int64_t images) {
  const int64_t now = part_ > 0 ? std::min(part_, images) : images;
  // A pass in which ranks wait for each other cannot be taken again by one of them.
  if (now <= 1 || synchronised_) return false;
  optimizer_->ZeroGradients();
  RestoreBuffers();
  if (at::globalContext().hasCUDA()) c10::getDeviceAllocator(c10::DeviceType::CUDA)->emptyCache();
  part_ = (now + 1) / 2;
  if (graph_ != nullptr) graph_->Reset();
  on_smaller_parts_(part_);
  return true;
}

bool Learner::Change(const StepRates &rates, const std::vector<at::Tensor> *device_lr) {
  changing_ = true;
  if (scaler_.enabled() && !scaler_.Unscale(GradientsOf(optimizer_->groups()))) return false;
  ClipGradients(optimizer_->groups(), clip_norm_, clip_value_);
  optimizer_->Step(rates, device_lr);
  return true;
}

void Learner::PrepareGraph(const TrainSettings &settings) {
  if (!GraphObstacle(settings, /*has_hooks=*/buckets_ != nullptr).empty()) return;
  std::unique_ptr<GraphCapture> capture = NewGraphCapture(device_);
  if (capture == nullptr) return;
  std::vector<double> factors;
  for (const ParameterGroup &group : optimizer_->groups()) factors.push_back(group.lr_factor);
  const auto work = [this](const at::Tensor &inputs, const at::Tensor &targets) -> StepGraph::Result {
    const Outcome outcome = Gradients(inputs, targets, loss_.Weight(targets));
    Change({0, graph_->momentum()}, &graph_->rates());
    return {outcome.loss, outcome.correct};
  };
  const auto on_giving_up = [](const std::string &why) {
    Log(LogLevel::kInfo, "training steps cannot be recorded (train.cuda_graphs), and are done one by one: " + why);
  };
  graph_ = std::make_unique<StepGraph>(std::move(capture), std::move(factors), device_, work, on_giving_up);
}

std::optional<Learner::Outcome> Learner::GraphStep(const at::Tensor &inputs, const at::Tensor &targets,
                                                   const StepRates &rates) {
  if (graph_ == nullptr || !graph_->Takes(inputs, targets, rates.momentum)) return std::nullopt;
  const std::optional<StepGraph::Result> result = graph_->Step(inputs, targets, rates.lr);
  if (!result) return std::nullopt;
  Outcome outcome;
  outcome.loss = result->loss;
  outcome.correct = result->correct;
  return outcome;
}

Learner::Outcome Learner::EagerStep(const at::Tensor &inputs, const at::Tensor &targets, double weight,
                                    const StepRates &rates) {
  Outcome outcome = Gradients(inputs, targets, weight);
  if (buckets_) {
    changing_ = true;  // the others do not do it twice
    AddUp(&outcome);
  }
  if (skip_ && !std::isfinite(outcome.loss.item<double>())) {
    outcome.skipped = true;
    optimizer_->ZeroGradients();
    RestoreBuffers();
    return outcome;
  }
  outcome.overflowed = !Change(rates, nullptr);
  return outcome;
}

Learner::Outcome Learner::Step(const at::Tensor &inputs, const at::Tensor &targets, const StepRates &rates,
                               uint64_t seed, std::vector<double> *along) {
  // Of the whole batch: its weight and images.
  std::vector<double> whole = {loss_.Weight(targets), static_cast<double>(targets.size(0))};
  if (buckets_) {
    if (along != nullptr) whole.insert(whole.end(), along->begin(), along->end());
    ranks_->Sum(&whole);
    if (along != nullptr) along->assign(whole.begin() + 2, whole.end());
    if (whole[1] == 0) return {};
    buckets_->Begin();
  }
  for (;;) {
    try {
      changing_ = false;
      if (draws_) at::manual_seed(seed);
      const std::optional<Outcome> repeated = GraphStep(inputs, targets, rates);
      if (!repeated) changing_ = false;  // a recording that failed has changed nothing
      Outcome outcome = repeated ? *repeated : EagerStep(inputs, targets, whole[0], rates);
      outcome.images = static_cast<int64_t>(whole[1]);
      if (!outcome.skipped && !outcome.overflowed) average_.Update();
      return outcome;
    } catch (const c10::OutOfMemoryError &) {
      // What has begun to change must not be changed twice.
      if (changing_ || !Shrink(targets.size(0))) throw;
    }
  }
}

}  // namespace trainyard
