#include "engine_torch/kernels/batch_norm.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <vector>

#include "engine_torch/kernels/batch_norm_rows.h"
#include "engine_torch/kernels/tensor_data.h"

namespace trainyard {
namespace {

// Values that are worth a thread.
constexpr int64_t kGrain = 1 << 15;

int64_t Channels(const at::Tensor &images) {
  return images.size(1);
}
int64_t Rows(const at::Tensor &images) {
  return images.numel() / Channels(images);
}

void OverRows(const at::Tensor &images, const std::function<void(int64_t first, int64_t last)> &loop) {
  at::parallel_for(0, Rows(images), std::max<int64_t>(1, kGrain / Channels(images)), loop);
}

// Two sums over the rows for each channel, [2][channels]. Each thread has sums of its own, which are added in order:
// the same number of threads gives the same result.
std::vector<double> SumRows(const at::Tensor &images,
                            const std::function<void(int64_t first, int64_t last, double *, double *)> &loop) {
  const int64_t channels = Channels(images);
  const int64_t threads = at::get_num_threads();
  const auto size = static_cast<size_t>(2 * channels);
  std::vector<std::vector<double>> parts(static_cast<size_t>(threads));
  OverRows(images, [&](int64_t first, int64_t last) {
    std::vector<double> &part = parts[static_cast<size_t>(at::get_thread_num())];
    part.resize(size);
    loop(first, last, part.data(), part.data() + channels);
  });
  std::vector<double> sums(size);
  for (const std::vector<double> &part : parts) {
    for (size_t i = 0; i < part.size(); ++i) sums[i] += part[i];
  }
  return sums;
}

// What a channel is multiplied by and moved by, and its mean: [3][channels].
struct Line {
  at::Tensor values;
  const float *row(int64_t i) const { return Data(values) + i * values.size(1); }
  batch_norm::Forward forward() const { return {row(0), row(1), row(2)}; }
};

// Moves the running statistics, too. `deviations`: 1 / standard deviation, [channels].
Line LineOf(const at::Tensor &input, const BatchNormTerms &terms, const at::Tensor &deviations) {
  const int64_t channels = Channels(input);
  const auto rows = static_cast<double>(Rows(input));
  const float *const from = Data(input);
  // Sums of what differs from the first row: exact enough in one walk.
  const std::vector<double> moments = SumRows(input, [&](int64_t first, int64_t last, double *sums, double *squares) {
    batch_norm::AddMoments(from + first * channels, last - first, channels, from, sums, squares);
  });
  Line line{at::empty({3, channels}, at::kFloat)};
  float *const scale = MutableData(line.values);
  float *const running_mean = MutableData(terms.running_mean);
  float *const running_var = MutableData(terms.running_var);
  for (int64_t c = 0; c < channels; ++c) {
    const double shifted = moments[static_cast<size_t>(c)] / rows;
    const double mean = static_cast<double>(from[c]) + shifted;
    const double exact = moments[static_cast<size_t>(channels + c)] / rows - shifted * shifted;
    const double var = exact < 0 ? 0 : exact;  // std::max would hide a NaN
    const double deviation = 1 / std::sqrt(var + terms.eps);
    MutableData(deviations)[c] = static_cast<float>(deviation);
    scale[c] = static_cast<float>(static_cast<double>(Data(terms.weight)[c]) * deviation);
    scale[channels + c] = static_cast<float>(static_cast<double>(Data(terms.bias)[c]) -
                                             mean * static_cast<double>(Data(terms.weight)[c]) * deviation);
    scale[2 * channels + c] = static_cast<float>(mean);
    const auto momentum = static_cast<float>(terms.momentum);
    running_mean[c] = (1 - momentum) * running_mean[c] + momentum * static_cast<float>(mean);
    running_var[c] = (1 - momentum) * running_var[c] + momentum * static_cast<float>(var * rows / (rows - 1));
  }
  return line;
}

class BatchNormFunction : public torch::autograd::Function<BatchNormFunction> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &input,
                            const at::Tensor &weight, const at::Tensor &bias, const std::optional<at::Tensor> &residual,
                            BatchNormTerms terms, Activation activation) {
    terms.weight = weight;
    terms.bias = bias;
    const int64_t channels = Channels(input);
    const at::Tensor deviations = at::empty({channels}, at::kFloat);
    const Line line = LineOf(input, terms, deviations);
    at::Tensor output = at::empty_like(input);
    const float *const add = residual ? Data(*residual) : nullptr;
    OverRows(input, [&](int64_t first, int64_t last) {
      const int64_t begin = first * channels;
      batch_norm::Normalise(Data(input) + begin, add == nullptr ? nullptr : add + begin, last - first, channels,
                            line.row(0), line.row(1), activation, MutableData(output) + begin);
    });
    context->save_for_backward({input, line.values, deviations, residual ? output : at::Tensor()});
    context->saved_data["activation"] = static_cast<int64_t>(activation);
    return output;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                 const torch::autograd::variable_list &gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    const at::Tensor &input = saved[0];
    const Line line{saved[1]};
    const bool residual = saved[3].defined();
    const at::Tensor gradient = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor before = residual ? at::empty_like(gradient) : at::Tensor();
    const int64_t channels = Channels(input);
    const std::vector<double> sums = SumRows(input, [&](int64_t first, int64_t last, double *sum, double *product) {
      const int64_t begin = first * channels;
      batch_norm::AddGradients(Data(gradient) + begin, Data(input) + begin, residual ? Data(saved[3]) + begin : nullptr,
                               last - first, channels, line.forward(), activation, sum, product,
                               residual ? MutableData(before) + begin : nullptr);
    });
    const at::Tensor terms = at::empty({4, channels}, at::kFloat);  // g_mean, slope, gradients of bias and weight
    float *const g_mean = MutableData(terms);
    const auto rows = static_cast<double>(Rows(input));
    for (int64_t c = 0; c < channels; ++c) {
      const double sum = sums[static_cast<size_t>(c)];
      const double product = sums[static_cast<size_t>(channels + c)];
      const auto deviation = static_cast<double>(Data(saved[2])[c]);
      g_mean[c] = static_cast<float>(sum / rows);
      g_mean[channels + c] = static_cast<float>(product * deviation * deviation / rows);
      g_mean[2 * channels + c] = static_cast<float>(sum);
      g_mean[3 * channels + c] = static_cast<float>(product * deviation);
    }
    torch::autograd::variable_list result(6);
    if (context->needs_input_grad(0)) {
      result[0] = at::empty_like(input);
      const at::Tensor &from = residual ? before : gradient;
      OverRows(input, [&](int64_t first, int64_t last) {
        const int64_t begin = first * channels;
        batch_norm::InputGradient(Data(from) + begin, Data(input) + begin, last - first, channels, line.forward(),
                                  {g_mean, g_mean + channels, residual}, activation, MutableData(result[0]) + begin);
      });
    }
    result[1] = terms[3];
    result[2] = terms[2];
    result[3] = before;
    return result;
  }
};

bool IsDense(const at::Tensor &images) {
  return images.is_cpu() && images.dim() == 4 && images.scalar_type() == at::kFloat &&
         images.is_contiguous(at::MemoryFormat::ChannelsLast);
}

}  // namespace

bool FitsBatchNorm(const at::Tensor &input, const BatchNormTerms &terms, Activation activation,
                   const at::Tensor &residual) {
  if (!IsDense(input) || Rows(input) < 2 || activation == Activation::kSiLU) return false;
  if (!terms.weight.defined() || !terms.bias.defined() || !terms.running_mean.defined()) return false;
  if (terms.weight.scalar_type() != at::kFloat || !terms.weight.is_contiguous()) return false;
  if (!residual.defined()) return true;
  return activation == Activation::kReLU && IsDense(residual) && residual.sizes() == input.sizes();
}

at::Tensor BatchNormActivate(const at::Tensor &input, const BatchNormTerms &terms, Activation activation,
                             const at::Tensor &residual) {
  return BatchNormFunction::apply(input, terms.weight, terms.bias,
                                  residual.defined() ? std::optional(residual) : std::nullopt, terms, activation);
}

}  // namespace trainyard
