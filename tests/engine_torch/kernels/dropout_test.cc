// The engine's dropout.
#include "engine_torch/kernels/dropout.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>

#include "engine_torch/kernels/compare.h"
#include "engine_torch/kernels/fast_kernels.h"
#include "engine_torch/models/layers.h"

namespace trainyard {
namespace {

at::Tensor Seeded(const at::Tensor &input, double probability, uint64_t seed) {
  at::manual_seed(seed);
  return Dropped(input, probability);
}

TEST(DropoutTest, DropsTheShareThatIsWantedAndScalesTheRest) {
  constexpr int64_t kCount = 2000001;
  const at::Tensor ones = at::ones({kCount});
  for (const double probability : {0.2, 0.5, 0.9}) {
    const at::Tensor output = Seeded(ones, probability, 3);
    const double dropped = (output == 0).to(at::kDouble).mean().item<double>();
    // Five standard deviations.
    EXPECT_NEAR(dropped, probability, 5 * std::sqrt(probability * (1 - probability) / static_cast<double>(kCount)));
    const at::Tensor kept = output.masked_select(output != 0);
    EXPECT_TRUE(at::allclose(kept, at::full_like(kept, 1 / (1 - probability))));
    // What is beside what was dropped is dropped as often: in pairs, and from one pair to the next.
    const at::Tensor gone = (output == 0).to(at::kDouble);
    for (const int64_t distance : {1, 2}) {
      const at::Tensor both =
          (gone.narrow(0, 0, kCount - 2) * gone.narrow(0, distance, kCount - 2)).mean() / (probability * probability);
      EXPECT_NEAR(both.item<double>(), 1, 0.02 / probability) << probability << " at " << distance;
    }
  }
}

TEST(DropoutTest, TheGradientIsThatOfWhatStayed) {
  for (const bool channels_last : {false, true}) {
    at::Tensor input = at::randn({3, 5, 7, 9});
    if (channels_last) input = input.contiguous(at::MemoryFormat::ChannelsLast);
    input.requires_grad_();
    const at::Tensor output = Seeded(input, 0.5, 4);
    // In another order in memory, and one value for all.
    for (const at::Tensor &gradient : {at::randn(output.sizes()), at::full({1}, 3.0).expand(output.sizes())}) {
      const at::Tensor result = torch::autograd::grad({output}, {input}, {gradient}, /*retain_graph=*/true)[0];
      EXPECT_TRUE(at::allclose(result, gradient * (output != 0) * 2)) << channels_last;
    }
  }
}

TEST(DropoutTest, TheSeedDecides) {
  const at::Tensor input = at::randn({200001});
  const at::Tensor first = Seeded(input, 0.3, 1);
  EXPECT_FALSE(first.equal(Dropped(input, 0.3))) << "the next one";
  EXPECT_FALSE(first.equal(Seeded(input, 0.3, 2)));
  const int threads = at::get_num_threads();
  for (const int count : {1, 3}) {
    at::set_num_threads(count);
    EXPECT_TRUE(first.equal(Seeded(input, 0.3, 1))) << count << " threads";
  }
  at::set_num_threads(threads);
}

TEST(DropoutTest, LetsNanThrough) {
  const at::Tensor output = Seeded(at::full({64}, std::numeric_limits<float>::quiet_NaN()), 0.5, 1);
  EXPECT_TRUE(output.isnan().all().item<bool>());
}

TEST(DropoutTest, IsForTrainingStepsAlone) {
  const at::Tensor input = at::ones({1000});
  Dropout layer(0.5);
  const auto with = [&](bool fast) {
    at::manual_seed(9);
    const FastKernels kernels(fast);
    return layer->forward(input);
  };
  const at::Tensor fast = with(true), slow = with(false);
  EXPECT_FALSE(fast.equal(slow));
  at::manual_seed(9);
  EXPECT_TRUE(slow.equal(at::dropout(input, 0.5, true))) << "LibTorch's";
  EXPECT_TRUE(fast.equal(Seeded(input, 0.5, 9)));
  layer->eval();
  EXPECT_TRUE(with(true).equal(input));
}

}  // namespace
}  // namespace trainyard
