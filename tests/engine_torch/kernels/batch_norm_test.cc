// Batch norm, residual and activation as one, against LibTorch's one after the other.
#include "engine_torch/kernels/batch_norm.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>

#include "engine_torch/kernels/compare.h"
#include "engine_torch/kernels/fast_kernels.h"
#include "engine_torch/models/layers.h"

namespace trainyard {
namespace {

constexpr double kTolerance = 2e-5;

struct Case {
  Activation activation;
  bool residual;
  int64_t images, channels, side;
};

class BatchNormTest : public testing::TestWithParam<Case> {
 protected:
  // Output, gradients and running statistics of one step.
  static std::vector<at::Tensor> Step(const at::Tensor &input, const at::Tensor &residual, Activation activation,
                                      bool fast) {
    at::manual_seed(5);
    const int64_t channels = input.size(1);
    BatchNorm2d norm(channels);
    norm->weight.set_data(at::randn({channels}));
    norm->bias.set_data(at::randn({channels}));
    at::Tensor output;
    {
      const FastKernels kernels(fast);
      output = NormActivate(norm.get(), input, activation, residual);
    }
    std::vector<at::Tensor> inputs = {input, norm->weight, norm->bias};
    if (residual.defined()) inputs.push_back(residual);
    std::vector<at::Tensor> results =
        torch::autograd::grad({output}, inputs, {at::randn(output.sizes())}, /*retain_graph=*/true);
    results.insert(results.end(), {output.detach(), norm->running_mean, norm->running_var, norm->num_batches_tracked});
    return results;
  }
};

TEST_P(BatchNormTest, GivesWhatItsPartsGive) {
  const Case &c = GetParam();
  at::manual_seed(4);
  const at::Tensor input = Images({c.images, c.channels, c.side, c.side});
  const at::Tensor residual = c.residual ? Images(input.sizes()) : at::Tensor();
  ASSERT_TRUE(FitsBatchNorm(
      input,
      {at::ones({c.channels}), at::ones({c.channels}), at::ones({c.channels}), at::ones({c.channels}), 0.1, 1e-5},
      c.activation, residual));
  ExpectClose(Step(input, residual, c.activation, true), Step(input, residual, c.activation, false), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, BatchNormTest,
    testing::Values(Case{Activation::kNone, false, 4, 64, 14}, Case{Activation::kReLU, false, 4, 64, 14},
                    Case{Activation::kReLU, true, 4, 64, 14}, Case{Activation::kReLU6, false, 8, 24, 9},
                    Case{Activation::kHardswish, false, 8, 40, 7}, Case{Activation::kReLU, true, 2, 3, 5},
                    Case{Activation::kReLU, false, 2, 512, 1}, Case{Activation::kNone, false, 16, 64, 56}));

// Means far from zero cost digits in sums of squares, unless one is careful.
TEST_F(BatchNormTest, IsExactFarFromZero) {
  const at::Tensor input =
      (at::randn({8, 16, 32, 32}) * 0.1 + 100).contiguous(at::MemoryFormat::ChannelsLast).requires_grad_();
  const at::Tensor exact = input.detach().to(at::kDouble);
  const at::Tensor var = exact.var({0, 2, 3}, /*unbiased=*/true);
  const std::vector<at::Tensor> ours = Step(input, {}, Activation::kReLU, true);
  EXPECT_LE(Difference(ours[5].to(at::kDouble) * 10 - 9, var), 1e-3);  // running_var after one step of momentum 0.1
  EXPECT_LE(Difference(ours[4].to(at::kDouble) * 10, exact.mean(at::IntArrayRef{0, 2, 3})), 1e-6);
}

// One that is swallowed would let a training go on with weights that are none.
TEST_F(BatchNormTest, LetsNanThrough) {
  for (const Activation activation :
       {Activation::kNone, Activation::kReLU, Activation::kReLU6, Activation::kHardswish}) {
    at::Tensor images = at::randn({4, 16, 6, 6}).contiguous(at::MemoryFormat::ChannelsLast);
    images.index_put_({0, 3, 2, 2}, std::numeric_limits<float>::quiet_NaN());
    const at::Tensor residual = activation == Activation::kReLU ? Images(images.sizes()) : at::Tensor();
    const std::vector<at::Tensor> results = Step(images.requires_grad_(), residual, activation, true);
    for (const size_t result : {0, 1}) {  // of the input and the weight
      EXPECT_TRUE(results[result].isnan().any().item<bool>()) << "gradient " << result;
    }
    const size_t output = residual.defined() ? 4 : 3;
    EXPECT_TRUE(results[output].select(1, 3).isnan().all().item<bool>());
    EXPECT_TRUE(results[output + 1][3].isnan().item<bool>()) << "the running mean";
    EXPECT_TRUE(results[output + 2][3].isnan().item<bool>()) << "the running variance";
    EXPECT_FALSE(results[output].select(1, 4).isnan().any().item<bool>()) << "another channel";
  }
}

TEST_F(BatchNormTest, GivesTheSameTwice) {
  const at::Tensor input = Images({8, 64, 28, 28});
  const std::vector<at::Tensor> first = Step(input, {}, Activation::kReLU, true);
  const std::vector<at::Tensor> second = Step(input, {}, Activation::kReLU, true);
  for (size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(first[i].equal(second[i])) << "tensor " << i;
}

TEST_F(BatchNormTest, LeavesWhatDoesNotFit) {
  const BatchNormTerms terms = {at::ones({8}), at::ones({8}), at::ones({8}), at::ones({8}), 0.1, 1e-5};
  const at::Tensor input = Images({4, 8, 6, 6});
  EXPECT_TRUE(FitsBatchNorm(input, terms, Activation::kReLU, {}));
  EXPECT_FALSE(FitsBatchNorm(input, terms, Activation::kSiLU, {}));
  EXPECT_FALSE(FitsBatchNorm(input.contiguous(), terms, Activation::kReLU, {})) << "another order in memory";
  EXPECT_FALSE(FitsBatchNorm(input.to(at::kDouble), terms, Activation::kReLU, {}));
  EXPECT_FALSE(FitsBatchNorm(Images({1, 8, 1, 1}), terms, Activation::kReLU, {})) << "one value has no variance";
  EXPECT_FALSE(FitsBatchNorm(input, terms, Activation::kReLU6, input));
  EXPECT_FALSE(FitsBatchNorm(input, terms, Activation::kReLU, Images({4, 8, 3, 3})));
  EXPECT_FALSE(FitsBatchNorm(input, {{}, {}, at::ones({8}), at::ones({8}), 0.1, 1e-5}, Activation::kReLU, {}));
}

// In a Chain the activation behind a batch norm is one step with it, and counts once.
TEST_F(BatchNormTest, IsOneStepWithTheActivationBehindItInAChain) {
  const at::Tensor input = Images({4, 16, 14, 14});
  at::Tensor outputs[2];
  for (const bool fast : {false, true}) {
    at::manual_seed(6);
    Chain chain = ConvolutionNormActivation({16, 32, 3, 2}, Activation::kReLU6);
    chain->push_back(ConvolutionNormActivation({32, 16, 1}, Activation::kNone));
    for (at::Tensor parameter : chain->parameters()) {
      if (parameter.dim() == 4) parameter.set_data(parameter.detach().contiguous(at::MemoryFormat::ChannelsLast));
    }
    const FastKernels kernels(fast);
    outputs[fast ? 1 : 0] = chain->forward(input);
    for (const at::Tensor &buffer : chain->buffers()) {
      const bool counts = buffer.dim() == 0;
      EXPECT_TRUE(!counts || buffer.item<int64_t>() == 1);
    }
  }
  ExpectClose({outputs[1]}, {outputs[0]}, kTolerance);
  EXPECT_FALSE(outputs[1].equal(outputs[0])) << "the engine's own kernel was not used";
}

}  // namespace
}  // namespace trainyard
