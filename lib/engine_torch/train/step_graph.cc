#include "engine_torch/train/step_graph.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <utility>

#include "engine_torch/train/precision.h"

namespace trainyard {
namespace {

std::atomic<MakeGraphCapture> make_capture{nullptr};

bool SameForm(const at::Tensor &a, const at::Tensor &b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
         a.suggest_memory_format() == b.suggest_memory_format();
}

}  // namespace

void SetGraphCapture(MakeGraphCapture make) {
  make_capture = make;
}

std::unique_ptr<GraphCapture> NewGraphCapture(c10::Device device) {
  const MakeGraphCapture make = make_capture;
  return make == nullptr ? nullptr : make(device);
}

std::string GraphObstacle(const TrainSettings &settings, bool has_hooks) {
  if (settings.cuda_graphs == CudaGraphs::kOff) return "train.cuda_graphs is off";
  if (settings.nan_policy == NanPolicy::kSkip) return "train.nan_policy skip reads each loss";
  if (NeedsScaling(settings.precision)) return "train.precision fp16 looks at each step's gradients";
  if (!settings.loss.class_weights.empty()) return "loss.class_weights reads each batch's weight";
  if (settings.optimizer.kind == OptimizerKind::kRmsProp) return "optimizer.name rmsprop takes its rate from the host";
  if (has_hooks) return "the host takes part in the backward pass";
  return "";
}

StepGraph::StepGraph(std::unique_ptr<GraphCapture> capture, std::vector<double> factors, c10::Device device, Work work,
                     std::function<void(const std::string &)> on_giving_up)
    : capture_(std::move(capture)),
      factors_(std::move(factors)),
      work_(std::move(work)),
      on_giving_up_(std::move(on_giving_up)) {
  for (size_t i = 0; i < factors_.size(); ++i) {
    rates_.push_back(at::zeros({}, at::TensorOptions(device).dtype(at::kFloat)));
  }
}

bool StepGraph::Takes(const at::Tensor &inputs, const at::Tensor &targets, double momentum) {
  if (given_up_) return false;
  if (!inputs_.defined()) {
    inputs_ = at::empty_like(inputs, inputs.suggest_memory_format());
    targets_ = at::empty_like(targets);
    momentum_ = momentum;
  }
  return momentum == momentum_ && SameForm(inputs, inputs_) && SameForm(targets, targets_);
}

std::optional<StepGraph::Result> StepGraph::Step(const at::Tensor &inputs, const at::Tensor &targets, double lr) {
  {
    const c10::NoGradGuard no_grad;
    inputs_.copy_(inputs, /*non_blocking=*/true);
    targets_.copy_(targets, /*non_blocking=*/true);
    for (size_t i = 0; i < rates_.size(); ++i) rates_[i].fill_(lr * factors_[i]);
  }
  const auto work = [this] { result_ = work_(inputs_, targets_); };
  if (warm_ups_ < kWarmUps) {
    ++warm_ups_;
    capture_->OnSideStream(work);
    return std::exchange(result_, {});
  }
  if (!recorded_) {
    try {
      capture_->Record(work);
      recorded_ = true;
    } catch (const c10::Error &error) {
      result_ = {};
      given_up_ = true;
      const std::string text = error.what_without_backtrace();
      on_giving_up_(text.substr(0, text.find('\n')));
      return std::nullopt;
    }
  }
  capture_->Replay();
  // The next replay writes over them.
  return Result{result_.loss.clone(), result_.correct.clone()};
}

void StepGraph::Reset() {
  recorded_ = false;
  warm_ups_ = 0;
  result_ = {};
}

}  // namespace trainyard
