// Sums, largest values and broadcasts of two ranks, and the questions that ranks answer together.
#include "engine_torch/parallel/collective.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "engine_torch/parallel/two_ranks.h"
#include "util/error.h"

namespace trainyard {
namespace {

using Reduction = Collective::Reduction;

TEST(Collective, AddsUpAndFindsTheLargest) {
  const double mine = ByRank(1.0, 10.0);
  for (const auto type : {at::kFloat, at::kDouble, at::kLong}) {
    at::Tensor values = at::full({3}, mine, at::TensorOptions(type));
    Together().AllReduce(values, Reduction::kSum)->Wait();
    EXPECT_TRUE(at::equal(values, at::full({3}, 11, at::TensorOptions(type))));
    values = at::full({3}, mine, at::TensorOptions(type));
    Together().AllReduce(values, Reduction::kMax)->Wait();
    EXPECT_TRUE(at::equal(values, at::full({3}, 10, at::TensorOptions(type))));
  }
}

TEST(Collective, ManyAreUnderWayAtOnce) {
  std::vector<at::Tensor> tensors;
  std::vector<std::unique_ptr<Collective::Work>> works;
  for (int64_t i = 0; i < 40; ++i) {
    tensors.push_back(
        at::full({1 + i * 20000}, static_cast<double>(i) * ByRank(1.0, 2.0), at::TensorOptions(at::kFloat)));
    works.push_back(Together().AllReduce(tensors.back(), Reduction::kSum));
  }
  for (size_t i = works.size(); i-- > 0;) works[i]->Wait();
  for (size_t i = 0; i < tensors.size(); ++i)
    EXPECT_TRUE(tensors[i].eq(3.0 * static_cast<double>(i)).all().item<bool>());
}

TEST(Collective, SumsAreTheSameBitByBitOnBothRanks) {
  at::manual_seed(ByRank(1, 2));
  at::Tensor values = at::randn({3000001});
  Together().AllReduce(values, Reduction::kSum)->Wait();
  EXPECT_TRUE(TwoRanks().Same(ChecksumOf({values})));
}

TEST(Collective, BroadcastsAnyTypeFromAnyRank) {
  for (const int root : {0, 1}) {
    at::Tensor bytes = at::full({1000003}, ByRank(3, 7), at::TensorOptions(at::kByte));
    Together().Broadcast(bytes, root)->Wait();
    EXPECT_TRUE(bytes.eq(root == 0 ? 3 : 7).all().item<bool>());
  }
}

TEST(Collective, TensorsThatCannotBeAddedAreRefused) {
  EXPECT_THROW(Together().AllReduce(at::zeros({2}, at::TensorOptions(at::kByte)), Reduction::kSum), Error);
  EXPECT_THROW(Together().AllReduce(at::zeros({4, 4}).narrow(1, 0, 2), Reduction::kSum), Error);
}

TEST(Ranks, AnswerTogether) {
  Ranks &ranks = TwoRanks();
  EXPECT_EQ(ranks.count(), 2);
  EXPECT_EQ(ranks.on_this_machine(), 2);
  EXPECT_EQ(ranks.leads(), ranks.rank() == 0);
  EXPECT_EQ(ranks.Max(ByRank(-5, -3)), -3);
  EXPECT_TRUE(ranks.Any(ByRank(false, true)));
  EXPECT_FALSE(ranks.Any(false));
  EXPECT_TRUE(ranks.Same(4));
  EXPECT_FALSE(ranks.Same(ByRank(4, 5)));
  std::vector<double> values = {ByRank(1.5, 2.0), 1};
  ranks.Sum(&values);
  EXPECT_EQ(values, (std::vector<double>{3.5, 2}));
  ranks.Barrier();
}

TEST(Ranks, ShareWhatTheFirstHasInAnyLayout) {
  at::manual_seed(1);
  const at::Tensor expected = at::randn({8, 4, 3, 3});
  const auto own = [&](const at::Tensor &of_first) { return ByRank(of_first, at::zeros_like(of_first)); };
  std::vector<at::Tensor> tensors = {own(expected.contiguous(at::MemoryFormat::ChannelsLast)), own(expected),
                                     own(at::arange(5, at::kLong)), at::zeros({8, 8}).narrow(1, 2, 3)};
  tensors[3].copy_(own(at::ones({8, 3})));
  TwoRanks().Share(tensors);
  EXPECT_TRUE(at::equal(tensors[0], expected));
  EXPECT_TRUE(at::equal(tensors[1], expected));
  EXPECT_TRUE(at::equal(tensors[2], at::arange(5, at::kLong)));
  EXPECT_TRUE(at::equal(tensors[3], at::ones({8, 3})));
}

TEST(Ranks, OneProcessAnswersItself) {
  const Ranks one;
  std::vector<double> values = {2};
  one.Sum(&values);
  EXPECT_EQ(values[0], 2);
  EXPECT_TRUE(one.leads());
  EXPECT_FALSE(one.several());
  EXPECT_EQ(one.Max(-7), -7);
  EXPECT_TRUE(one.Same(3));
  EXPECT_EQ(one.on_this_machine(), 1);
}

}  // namespace
}  // namespace trainyard
