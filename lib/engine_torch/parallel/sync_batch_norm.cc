#include "engine_torch/parallel/sync_batch_norm.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <tuple>
#include <utility>

#include "engine_torch/models/layers.h"

namespace trainyard {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Moments {
  at::Tensor mean, variance;  // [channels], of all ranks' values
  at::Tensor count;           // values of a channel, on all ranks: a double
};

// Each rank writes its values' number, means and variances into a row of its own; the sum over the ranks is all rows.
// Put together by Chan's formula, in double: no difference of large numbers, and the same on every rank. All of it
// stays on the device: nothing is waited for.
Moments MomentsOfAll(const at::Tensor &input, at::ScalarType type, Collective *collective) {
  const int64_t channels = input.size(1);
  const int64_t values = channels == 0 ? 0 : input.numel() / channels;
  at::Tensor rows =
      at::zeros({collective->world_size(), 1 + 2 * channels}, at::TensorOptions(at::kDouble).device(input.device()));
  if (values > 0) {
    at::Tensor row = rows[collective->rank()];
    std::vector<int64_t> others = {0};
    for (int64_t i = 2; i < input.dim(); ++i) others.push_back(i);
    // Of bf16 and fp16 in float, as LibTorch's own.
    const bool low = input.scalar_type() == at::kHalf || input.scalar_type() == at::kBFloat16;
    const auto [variance, mean] =
        at::var_mean(low ? input.to(at::kFloat) : input, at::IntArrayRef(others), /*correction=*/at::Scalar(0));
    row[0].fill_(static_cast<double>(values));
    row.narrow(0, 1, channels).copy_(mean);
    row.narrow(0, 1 + channels, channels).copy_(variance);
  }
  collective->AllReduce(rows, Collective::Reduction::kSum)->Wait();
  const at::Tensor counts = rows.select(1, 0);
  const at::Tensor means = rows.narrow(1, 1, channels);
  Moments moments;
  moments.count = counts.sum();
  const at::Tensor shares = (counts / moments.count).unsqueeze(1);
  const at::Tensor mean = (means * shares).sum(0);
  const at::Tensor variance = ((rows.narrow(1, 1 + channels, channels) + (means - mean).square()) * shares).sum(0);
  moments.mean = mean.to(type);
  moments.variance = variance.to(type);
  return moments;
}

class SyncBatchNorm final : public torch::autograd::Function<SyncBatchNorm> {
 public:
  static at::Tensor forward(AutogradContext *context, const at::Tensor &input, const at::Tensor &weight,
                            const at::Tensor &bias, const at::Tensor &mean, const at::Tensor &variance,
                            const at::Tensor &count, double epsilon, int64_t collective) {
    context->save_for_backward({input, weight, mean, variance, count});
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["collective"] = collective;
    return std::get<0>(at::native_batch_norm(input, weight, bias, mean, variance, /*training=*/false, 0, epsilon));
  }

  // With g the output's gradient, x' the normalised input and sums over all ranks:
  // dx = w / sigma * (g - sum(g) / n - x' * sum(g x') / n); dw = sum(g x') and db = sum(g) of this rank alone, which
  // are added up like all gradients.
  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &weight = saved[1], &mean = saved[2], &variance = saved[3], &count = saved[4];
    const double epsilon = context->saved_data["epsilon"].toDouble();
    auto *collective = reinterpret_cast<Collective *>(context->saved_data["collective"].toInt());
    const at::Tensor gradient = gradients[0].contiguous(input.suggest_memory_format());
    const int64_t channels = input.size(1);
    at::Tensor weight_gradient = at::zeros_like(weight), bias_gradient = at::zeros_like(weight);
    if (input.numel() > 0) {  // LibTorch divides by it
      std::tie(std::ignore, weight_gradient, bias_gradient) = at::native_batch_norm_backward(
          gradient, input, weight, mean, variance, mean, variance, /*train=*/false, epsilon, {false, true, true});
    }
    at::Tensor sums = at::cat({weight_gradient, bias_gradient}).to(at::kDouble);
    collective->AllReduce(sums, Collective::Reduction::kSum)->Wait();
    const at::Tensor deviation = (variance.to(at::kDouble) + epsilon).sqrt();
    const at::Tensor by_gradient = weight.to(at::kDouble) / deviation;
    const at::Tensor by_input = -by_gradient * sums.narrow(0, 0, channels) / deviation / count;
    const at::Tensor constant =
        -by_gradient * sums.narrow(0, channels, channels) / count - by_input * mean.to(at::kDouble);
    std::vector<int64_t> shape(static_cast<size_t>(input.dim()), 1);
    shape[1] = channels;
    const auto spread = [&](const at::Tensor &values) { return values.to(input.scalar_type()).view(shape); };
    const at::Tensor input_gradient =
        at::addcmul(spread(constant), input, spread(by_input)).addcmul_(gradient, spread(by_gradient));
    return {input_gradient, weight_gradient, bias_gradient, {}, {}, {}, {}, {}};
  }
};

at::Tensor Normalise(const at::Tensor &input, const BatchNorm2dImpl &norm, Collective *collective) {
  Moments moments;
  {
    const c10::NoGradGuard no_grad;
    moments = MomentsOfAll(input, norm.weight.scalar_type(), collective);
    const double factor = norm.options.momentum().value_or(0.1);
    // Of one value alone there is nothing to correct.
    const at::Tensor unbiased = moments.count / (moments.count - 1).clamp_min(1);
    at::Tensor(norm.running_mean).mul_(1 - factor).add_(moments.mean, factor);
    at::Tensor(norm.running_var).mul_(1 - factor).add_(moments.variance * unbiased, factor);
    at::Tensor(norm.num_batches_tracked).add_(1);
  }
  return SyncBatchNorm::apply(input, norm.weight, norm.bias, moments.mean, moments.variance, moments.count,
                              norm.options.eps(), reinterpret_cast<int64_t>(collective));
}

}  // namespace

int SynchroniseBatchNorms(torch::nn::Module *model, Collective *collective) {
  int count = 0;
  for (const auto &module : model->modules(/*include_self=*/false)) {
    auto *norm = module->as<BatchNorm2d>();
    if (norm == nullptr) continue;
    norm->NormaliseBy([collective](const at::Tensor &input, const BatchNorm2dImpl &layer) {
      return Normalise(input, layer, collective);
    });
    ++count;
  }
  return count;
}

}  // namespace trainyard
