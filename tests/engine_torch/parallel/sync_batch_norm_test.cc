// Batch norm over two ranks against one that has all images.
#include "engine_torch/parallel/sync_batch_norm.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/container/sequential.h>

#include "engine_torch/models/layers.h"
#include "engine_torch/parallel/two_ranks.h"

namespace trainyard {
namespace {

struct Layer {
  Layer() {
    at::manual_seed(5);
    const at::NoGradGuard no_grad;
    norm->weight.copy_(at::rand({6}) + 0.5);
    norm->bias.copy_(at::randn({6}));
  }
  BatchNorm2d norm = BatchNorm2d(torch::nn::BatchNorm2dOptions(6));
};

double Difference(const at::Tensor &a, const at::Tensor &b) {
  return (a - b).abs().max().item<double>();
}

TEST(SyncBatchNorm, IsThatOfTheWholeBatchForwardAndBackward) {
  at::manual_seed(9);
  // Far from zero, as squares that are subtracted from each other would not stand it.
  const at::Tensor images = at::randn({8, 6, 5, 7}) * 3 + 500;
  const at::Tensor gradient = at::randn({8, 6, 5, 7});
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    for (const int64_t of_first : {4, 3, 8}) {
      const int64_t from = ByRank<int64_t>(0, of_first), count = ByRank<int64_t>(of_first, 8 - of_first);
      Layer whole;
      const at::Tensor all = images.contiguous(format).detach().requires_grad_();
      const at::Tensor expected = whole.norm->forward(all);
      expected.backward(gradient);

      Layer part;
      torch::nn::Sequential model(part.norm);
      EXPECT_EQ(SynchroniseBatchNorms(model.get(), &Together()), 1);
      const at::Tensor own = images.narrow(0, from, count).contiguous(format).detach().requires_grad_();
      const at::Tensor output = part.norm->forward(own);
      output.backward(gradient.narrow(0, from, count));
      TwoRanks().SumTensor(part.norm->weight.mutable_grad());
      TwoRanks().SumTensor(part.norm->bias.mutable_grad());
      EXPECT_LT(Difference(part.norm->weight.grad(), whole.norm->weight.grad()), 2e-3);
      EXPECT_LT(Difference(part.norm->bias.grad(), whole.norm->bias.grad()), 1e-4);
      EXPECT_LT(Difference(part.norm->running_mean, whole.norm->running_mean), 1e-4);
      EXPECT_LT(Difference(part.norm->running_var, whole.norm->running_var), 1e-4);
      EXPECT_EQ(part.norm->num_batches_tracked.item<int64_t>(), 1);
      if (count == 0) continue;
      EXPECT_LT(Difference(output, expected.narrow(0, from, count)), 2e-4);
      EXPECT_LT(Difference(own.grad(), all.grad().narrow(0, from, count)), 1e-4);
    }
  }
}

TEST(SyncBatchNorm, EvaluationIsEachRanksOwn) {
  Layer layer;
  torch::nn::Sequential model(layer.norm);
  SynchroniseBatchNorms(model.get(), &Together());
  model->eval();
  const at::Tensor images = at::randn({2, 6, 4, 4});
  if (TwoRanks().rank() == 1) return;  // the other one does not wait
  Layer plain;
  plain.norm->eval();
  EXPECT_TRUE(at::equal(layer.norm->forward(images), plain.norm->forward(images)));
}

}  // namespace
}  // namespace trainyard
