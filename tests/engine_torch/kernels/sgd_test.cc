// The engine's SGD against LibTorch's fused one.
#include "engine_torch/kernels/sgd.h"

#include <ATen/Parallel.h>

#include <limits>

#include "engine_torch/kernels/compare.h"

namespace trainyard {
namespace {

struct State {
  std::vector<at::Tensor> parameters, momenta;
};

State Start(const std::vector<at::Tensor> &like) {
  State state;
  for (const at::Tensor &tensor : like) {
    state.parameters.push_back(tensor.clone());
    state.momenta.push_back(at::zeros_like(tensor));
  }
  return state;
}

std::vector<at::Tensor> Tensors() {
  at::manual_seed(7);
  // Sizes beside those of registers and parts, orders in memory, nothing at all.
  return {at::randn({3, 5}),
          at::randn({70001}),
          at::randn({1}),
          at::randn({0, 4}),
          at::randn({16, 8, 3, 3}).contiguous(at::MemoryFormat::ChannelsLast),
          at::randn({257, 64}),
          at::randn({40000})};
}

TEST(SgdTest, GivesTheBitsOfLibTorch) {
  for (const SgdRates &rates :
       {SgdRates{0.1, 0, 0, false}, SgdRates{0.01, 0, 0.0003, false}, SgdRates{0.1, 0.9, 0, false},
        SgdRates{0.03, 0.9, 0.0001, false}, SgdRates{0.03, 0.9, 0.0001, true}, SgdRates{0.03, 0.85, 0, true}}) {
    const std::vector<at::Tensor> tensors = Tensors();
    ASSERT_TRUE(FitsSgd(tensors));
    State ours = Start(tensors), theirs = Start(tensors);
    for (int step = 0; step < 3; ++step) {
      std::vector<at::Tensor> gradients;
      for (const at::Tensor &tensor : tensors) gradients.push_back(at::randn_like(tensor));
      const std::vector<at::Tensor> none;
      SgdStep(ours.parameters, gradients, rates.momentum == 0 ? none : ours.momenta, rates);
      // LibTorch's takes no empty tensors.
      for (size_t i = 0; i < tensors.size(); ++i) {
        if (tensors[i].numel() == 0) continue;
        at::_fused_sgd_({theirs.parameters[i]}, {gradients[i]},
                        rates.momentum == 0 ? none : std::vector<at::Tensor>{theirs.momenta[i]}, rates.weight_decay,
                        rates.momentum, rates.lr, 0, rates.nesterov, false, false);
      }
    }
    for (size_t i = 0; i < tensors.size(); ++i) {
      EXPECT_TRUE(ours.parameters[i].equal(theirs.parameters[i])) << i << ", momentum " << rates.momentum;
      EXPECT_TRUE(ours.momenta[i].equal(theirs.momenta[i])) << i << ", momentum " << rates.momentum;
      if (tensors[i].numel() > 0) {
        EXPECT_FALSE(ours.parameters[i].equal(tensors[i])) << i;
      }
    }
  }
}

TEST(SgdTest, LeavesMomentaAloneWithoutMomentum) {
  const at::Tensor momentum = at::full({40}, 3.0);
  SgdStep({at::ones({40})}, {at::ones({40})}, {momentum}, {0.1, 0, 0, false});
  EXPECT_TRUE(momentum.equal(at::full({40}, 3.0)));
}

// Where a unit has died its gradients are 0, and its momenta become ever smaller.
TEST(SgdTest, MomentaEndAtZero) {
  const at::Tensor parameter = at::ones({40}), gradient = at::zeros({40}), momentum = at::full({40}, 1e-30);
  for (int step = 0; step < 400; ++step) SgdStep({parameter}, {gradient}, {momentum}, {0.1, 0.9, 0, false});
  EXPECT_TRUE(parameter.equal(at::ones({40})));
#if defined(__x86_64__)
  EXPECT_TRUE(momentum.equal(at::zeros({40})));
#endif
  // As before for everything else.
  volatile float smallest = std::numeric_limits<float>::denorm_min();
  EXPECT_GT(smallest * 2, 0);
}

TEST(SgdTest, LeavesWhatDoesNotFit) {
  EXPECT_TRUE(FitsSgd({at::ones({2, 3}).t()}));
  EXPECT_FALSE(FitsSgd({at::ones({3}), at::ones({4, 3}).select(1, 0)})) << "gaps";
  EXPECT_FALSE(FitsSgd({at::ones({3}, at::kDouble)}));
  EXPECT_FALSE(FitsSgd({at::ones({3}).expand({4, 3})}));
}

}  // namespace
}  // namespace trainyard
