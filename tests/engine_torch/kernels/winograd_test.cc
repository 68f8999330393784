// Winograd convolutions against LibTorch's: values, gradients, edges, and where they are not used.
#include "engine_torch/kernels/winograd.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "engine_torch/kernels/compare.h"
#include "engine_torch/kernels/fast_kernels.h"
#include "engine_torch/models/layers.h"

namespace trainyard {
namespace {

constexpr double kTolerance = 1e-5;

struct Shape {
  int64_t images, in, out, height, width;
  bool bias;
};

class WinogradTest : public testing::TestWithParam<Shape> {
 protected:
  WinogradTest() { at::manual_seed(1); }
  void SetUp() override {
    if (!IsWinogradAvailable()) GTEST_SKIP() << "SKIP: this processor has no AVX-512";
  }
};

TEST_P(WinogradTest, GivesTheValuesAndGradientsOfADirectConvolution) {
  const Shape &shape = GetParam();
  const at::Tensor input = Images({shape.images, shape.in, shape.height, shape.width});
  const at::Tensor weight = Images({shape.out, shape.in, 3, 3});
  const at::Tensor bias = shape.bias ? at::randn({shape.out}).requires_grad_() : at::Tensor();
  ASSERT_TRUE(IsWinogradWorthwhile(input, weight));

  const at::Tensor theirs = at::conv2d(input, weight, bias, 1, 1);
  const at::Tensor ours = WinogradConvolution(input, weight, bias);
  EXPECT_TRUE(ours.is_contiguous(at::MemoryFormat::ChannelsLast));
  ExpectClose({ours}, {theirs}, kTolerance);

  std::vector<at::Tensor> inputs = {input, weight};
  if (shape.bias) inputs.push_back(bias);
  const at::Tensor gradient = at::randn(theirs.sizes());  // in another order in memory, as a gradient may be
  ExpectClose(torch::autograd::grad({ours}, inputs, {gradient}), torch::autograd::grad({theirs}, inputs, {gradient}),
              kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Shapes, WinogradTest,
                         testing::Values(Shape{2, 64, 64, 56, 56, false},  // several blocks of tiles
                                         Shape{16, 32, 48, 7, 7, true},    // odd sides: a tile sticks out
                                         Shape{3, 16, 112, 13, 20, true},  // neither square nor even
                                         Shape{130, 16, 16, 1, 1, false},  // the window is mostly outside
                                         Shape{4, 512, 256, 14, 14, false}));

TEST_F(WinogradTest, GivesTheSameTwice) {
  const at::Tensor input = Images({4, 32, 28, 28});
  const at::Tensor weight = Images({32, 32, 3, 3});
  std::vector<at::Tensor> results[2];
  for (auto &result : results) {
    const at::Tensor output = WinogradConvolution(input, weight, {});
    result = torch::autograd::grad({output}, {input, weight}, {at::ones_like(output)});
    result.push_back(output);
  }
  for (size_t i = 0; i < results[0].size(); ++i) EXPECT_TRUE(results[0][i].equal(results[1][i])) << "tensor " << i;
}

TEST_F(WinogradTest, ComputesOnlyTheGradientsThatAreWanted) {
  const at::Tensor images = at::randn({8, 32, 14, 14}).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor weight = Images({32, 32, 3, 3});
  const at::Tensor output = WinogradConvolution(images, weight, {});
  output.sum().backward();
  EXPECT_FALSE(images.grad().defined());
  EXPECT_TRUE(weight.grad().defined());

  const at::Tensor input = Images({8, 32, 14, 14});
  const at::Tensor frozen = weight.detach();
  WinogradConvolution(input, frozen, {}).sum().backward();
  EXPECT_TRUE(input.grad().defined());
  EXPECT_FALSE(frozen.grad().defined());
}

TEST_F(WinogradTest, IsNotUsedWhereItDoesNotFit) {
  const at::Tensor input = Images({8, 32, 14, 14});
  const at::Tensor weight = Images({32, 32, 3, 3});
  EXPECT_TRUE(IsWinogradWorthwhile(input, weight));
  EXPECT_FALSE(IsWinogradWorthwhile(input.contiguous(), weight)) << "another order in memory";
  EXPECT_FALSE(IsWinogradWorthwhile(input, weight.contiguous()));
  EXPECT_FALSE(IsWinogradWorthwhile(input.to(at::kDouble), weight.to(at::kDouble)));
  EXPECT_FALSE(IsWinogradWorthwhile(Images({1, 32, 14, 14}), weight)) << "too few tiles";
  EXPECT_FALSE(IsWinogradWorthwhile(Images({8, 24, 14, 14}), Images({32, 24, 3, 3}))) << "not in sixteens";
  EXPECT_FALSE(IsWinogradWorthwhile(input, Images({32, 32, 1, 1})));
  EXPECT_FALSE(IsWinogradWorthwhile(input, Images({32, 16, 3, 3}))) << "grouped";
}

// What a layer does, told from its result: the two ways differ in the last digits.
class ConvolutionTest : public WinogradTest {
 protected:
  at::Tensor Run(const torch::nn::Conv2dOptions &options, bool fast) {
    at::manual_seed(2);
    Convolution layer(options);
    layer->weight.set_data(layer->weight.detach().contiguous(at::MemoryFormat::ChannelsLast));
    const FastKernels kernels(fast);
    return layer->forward(images_);
  }
  bool Differs(const torch::nn::Conv2dOptions &options) { return !Run(options, true).equal(Run(options, false)); }

  const at::Tensor images_ = Images({8, 32, 28, 28});
};

TEST_F(ConvolutionTest, UsesItOnlyWhereFastKernelsAreAllowed) {
  const auto plain = torch::nn::Conv2dOptions(32, 32, 3).padding(1);
  EXPECT_TRUE(Differs(plain));
  ExpectClose({Run(plain, true)}, {Run(plain, false)}, kTolerance);
  {
    const c10::NoGradGuard no_grad;
    EXPECT_FALSE(Differs(plain)) << "evaluation is LibTorch's";
  }
}

TEST_F(ConvolutionTest, LeavesOtherConvolutionsToLibTorch) {
  EXPECT_FALSE(Differs(torch::nn::Conv2dOptions(32, 32, 3)));
  EXPECT_FALSE(Differs(torch::nn::Conv2dOptions(32, 32, 3).padding(1).stride(2)));
  EXPECT_FALSE(Differs(torch::nn::Conv2dOptions(32, 32, 3).padding(1).dilation(2)));
  EXPECT_FALSE(Differs(torch::nn::Conv2dOptions(32, 32, 3).padding(1).groups(2)));
  EXPECT_FALSE(Differs(torch::nn::Conv2dOptions(32, 32, 3).padding(torch::kSame)));
  EXPECT_FALSE(Differs(torch::nn::Conv2dOptions(32, 32, 5).padding(2)));
}

}  // namespace
}  // namespace trainyard
