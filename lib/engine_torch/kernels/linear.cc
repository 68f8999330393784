#include "engine_torch/kernels/linear.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "engine_torch/kernels/clones.h"
#include "engine_torch/kernels/tensor_data.h"

namespace trainyard {
namespace {

// Values that are worth a thread.
constexpr int64_t kGrain = 1 << 15;
// Columns that a thread sums at once, and rows that are summed in float before they go to the totals.
constexpr int64_t kColumns = 64;
constexpr int64_t kRows = 64;

// Each lets a NaN through, as PyTorch's do: it must get to the loss, where it is noticed.
TY_CLONES void AddBias(float *output, int64_t rows, int64_t columns, const float *bias, bool relu) {
  for (int64_t row = 0; row < rows; ++row) {
    float *const y = output + row * columns;
    if (relu) {
#pragma GCC ivdep
      for (int64_t c = 0; c < columns; ++c) {
        const float z = y[c] + bias[c];
        y[c] = z <= 0.0F ? 0.0F : z;
      }
    } else {
#pragma GCC ivdep
      for (int64_t c = 0; c < columns; ++c) y[c] += bias[c];
    }
  }
}

// Of `count` columns (at most kColumns): their sums; with `output` the gradient before ReLU to `before`, too. A row is
// `stride` values long.
TY_CLONES void SumColumns(const float *gradient, const float *output, int64_t rows, int64_t stride, int64_t count,
                          float *before, float *sums) {
  double totals[kColumns] = {};
  for (int64_t first = 0; first < rows; first += kRows) {
    float part[kColumns] = {};
    for (int64_t row = first; row < std::min(rows, first + kRows); ++row) {
      const float *const dy = gradient + row * stride;
      if (output == nullptr) {
#pragma GCC ivdep
        for (int64_t c = 0; c < count; ++c) part[c] += dy[c];
        continue;
      }
      const float *const y = output + row * stride;
      float *const dz = before + row * stride;
#pragma GCC ivdep
      for (int64_t c = 0; c < count; ++c) {
        const float g = y[c] <= 0.0F ? 0.0F : dy[c];
        dz[c] = g;
        part[c] += g;
      }
    }
    for (int64_t c = 0; c < count; ++c) totals[c] += static_cast<double>(part[c]);
  }
  for (int64_t c = 0; c < count; ++c) sums[c] = static_cast<float>(totals[c]);
}

class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &input,
                            const at::Tensor &weight, const at::Tensor &bias, bool relu) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    at::Tensor output = at::mm(input, weight.t());
    const int64_t columns = output.size(1);
    at::parallel_for(0, output.size(0), std::max<int64_t>(1, kGrain / columns), [&](int64_t first, int64_t last) {
      AddBias(MutableData(output) + first * columns, last - first, columns, Data(bias), relu);
    });
    context->save_for_backward({input, weight, relu ? output : at::Tensor()});
    return output;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                 const torch::autograd::variable_list &gradients) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor gradient = gradients[0].contiguous();
    const at::Tensor &output = saved[2];
    const at::Tensor before = output.defined() ? at::empty_like(gradient) : gradient;
    const int64_t rows = gradient.size(0), columns = gradient.size(1);
    const at::Tensor sums = at::empty({columns}, gradient.options());
    const int64_t parts = (columns + kColumns - 1) / kColumns;
    at::parallel_for(0, parts, std::max<int64_t>(1, kGrain / (rows * kColumns)), [&](int64_t first, int64_t last) {
      for (int64_t c = first * kColumns; c < std::min(columns, last * kColumns); c += kColumns) {
        SumColumns(Data(gradient) + c, output.defined() ? Data(output) + c : nullptr, rows, columns,
                   std::min(kColumns, columns - c), output.defined() ? MutableData(before) + c : nullptr,
                   MutableData(sums) + c);
      }
    });
    torch::autograd::variable_list result(4);
    if (context->needs_input_grad(0)) result[0] = at::mm(before, saved[1]);
    if (context->needs_input_grad(1)) result[1] = at::mm(before.t(), saved[0]);
    result[2] = sums;
    return result;
  }
};

bool IsDense(const at::Tensor &tensor, int64_t dimensions) {
  return tensor.defined() && tensor.is_cpu() && tensor.dim() == dimensions && tensor.scalar_type() == at::kFloat &&
         tensor.is_contiguous();
}

}  // namespace

bool FitsLinear(const at::Tensor &input, const at::Tensor &weight, const at::Tensor &bias) {
  return IsDense(input, 2) && IsDense(weight, 2) && IsDense(bias, 1) && input.size(0) > 0 &&
         input.size(1) == weight.size(1);
}

at::Tensor LinearRelu(const at::Tensor &input, const at::Tensor &weight, const at::Tensor &bias, bool relu) {
  return LinearFunction::apply(input, weight, bias, relu);
}

}  // namespace trainyard
