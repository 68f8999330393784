// Linear layer and ReLU as one, against LibTorch's one after the other.
#include "engine_torch/kernels/linear.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/nn/modules/linear.h>

#include <limits>

#include "engine_torch/kernels/compare.h"
#include "engine_torch/kernels/fast_kernels.h"
#include "engine_torch/models/layers.h"

namespace trainyard {
namespace {

class LinearTest : public testing::Test {
 protected:
  // Output and gradients of one step.
  static std::vector<at::Tensor> Step(const at::Tensor &input, int64_t outputs, Activation activation, bool fast) {
    at::manual_seed(5);
    torch::nn::Linear linear(input.size(1), outputs);
    at::Tensor output;
    {
      const FastKernels kernels(fast);
      output = LinearActivate(linear.get(), input, activation);
    }
    EXPECT_EQ(output.grad_fn()->name().find("LinearFunction") != std::string::npos, fast) << output.grad_fn()->name();
    std::vector<at::Tensor> wanted = {linear->weight, linear->bias};
    if (input.requires_grad()) wanted.push_back(input);
    std::vector<at::Tensor> results = torch::autograd::grad({output}, wanted, {at::randn(output.sizes())});
    results.push_back(output.detach());
    return results;
  }
};

TEST_F(LinearTest, GivesWhatItsPartsGive) {
  for (const auto &[rows, inputs, outputs] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{
           {1, 1, 1}, {256, 64, 256}, {256, 256, 1}, {3, 7, 65}, {1000, 20, 130}, {65, 300, 10}}) {
    for (const Activation activation : {Activation::kNone, Activation::kReLU}) {
      for (const bool input_gradient : {false, true}) {
        at::manual_seed(4);
        const at::Tensor input = at::randn({rows, inputs}).requires_grad_(input_gradient);
        SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(inputs) + " to " + std::to_string(outputs));
        const std::vector<at::Tensor> ours = Step(input, outputs, activation, true);
        const std::vector<at::Tensor> theirs = Step(input, outputs, activation, false);
        ASSERT_EQ(ours.size(), theirs.size());
        for (size_t i = 0; i < ours.size(); ++i)
          EXPECT_TRUE(at::allclose(ours[i], theirs[i], 1e-5, 1e-5)) << "tensor " << i;
      }
    }
  }
}

// One that is swallowed would let a training go on with weights that are none.
TEST_F(LinearTest, LetsNanThrough) {
  at::Tensor input = at::randn({8, 4});
  input.index_put_({3, 2}, std::numeric_limits<float>::quiet_NaN());
  const std::vector<at::Tensor> results = Step(input.requires_grad_(), 6, Activation::kReLU, true);
  EXPECT_TRUE(results[0].select(1, 2).isnan().any().item<bool>()) << "the weight's gradient";
  EXPECT_TRUE(results[3][3].isnan().all().item<bool>()) << "the output";
  EXPECT_FALSE(results[3][4].isnan().any().item<bool>()) << "another row";
}

TEST_F(LinearTest, GivesTheSameTwice) {
  const at::Tensor input = at::randn({300, 64});
  const std::vector<at::Tensor> first = Step(input, 256, Activation::kReLU, true);
  const std::vector<at::Tensor> second = Step(input, 256, Activation::kReLU, true);
  for (size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(first[i].equal(second[i])) << "tensor " << i;
}

TEST_F(LinearTest, LeavesWhatDoesNotFit) {
  const at::Tensor input = at::ones({4, 8}), weight = at::ones({3, 8}), bias = at::ones({3});
  EXPECT_TRUE(FitsLinear(input, weight, bias));
  EXPECT_FALSE(FitsLinear(input, weight, {}));
  EXPECT_FALSE(FitsLinear(input.to(at::kDouble), weight, bias));
  EXPECT_FALSE(FitsLinear(at::ones({2, 4, 8}), weight, bias));
  EXPECT_FALSE(FitsLinear(at::ones({8, 4}).t(), weight, bias));
  EXPECT_FALSE(FitsLinear(at::ones({0, 8}), weight, bias));
}

}  // namespace
}  // namespace trainyard
