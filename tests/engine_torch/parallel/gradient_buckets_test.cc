// Gradients of two ranks in buckets: sums, layouts, what one rank or none has a gradient for, and passes that are taken
// again.
#include "engine_torch/parallel/gradient_buckets.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "engine_torch/parallel/two_ranks.h"

namespace trainyard {
namespace {

// One rank's, which notes what is sent: elements, in order.
class Recorder final : public Collective {
 public:
  int rank() const override { return 0; }
  int world_size() const override { return 1; }
  std::string name() const override { return "a recorder"; }
  std::string failure() const override { return ""; }
  std::unique_ptr<Work> AllReduce(const at::Tensor &tensor, Reduction) override {
    sent.push_back(tensor.numel());
    return std::make_unique<Done>();
  }
  std::unique_ptr<Work> Broadcast(const at::Tensor &, int) override { return std::make_unique<Done>(); }
  void Barrier() override {}
  void Close() override {}
  void Abort() override {}

  std::vector<int64_t> sent;

 private:
  struct Done final : Work {
    void Wait() override {}
  };
};

class GradientBucketsTest : public testing::Test {
 protected:
  // a: a matrix, b: an image filter in channels-last layout, c: a vector. 40, 144 and 12 bytes.
  GradientBucketsTest()
      : a_(torch::ones({2, 5}).requires_grad_()),
        b_(torch::ones({2, 2, 3, 3}).contiguous(at::MemoryFormat::ChannelsLast).requires_grad_()),
        c_(torch::ones({3}).requires_grad_()) {}

  // d/da = factor, d/db = 2 factor j, d/dc = 3 factor.
  at::Tensor Value(double factor, bool with_a = true, bool with_b = true) const {
    at::Tensor value = (c_ * 3 * factor).sum();
    if (with_a) value = value + (a_ * factor).sum();
    if (with_b) value = value + (b_.reshape({36}) * at::arange(36) * 2 * factor).sum();
    return value;
  }
  void Expect(double a, double b, double c) const {
    EXPECT_TRUE(a_.grad().eq(a).all().item<bool>()) << a_.grad();
    EXPECT_TRUE(at::equal(b_.grad().reshape({36}), at::arange(36, at::kFloat) * b)) << b_.grad();
    EXPECT_EQ(b_.grad().strides(), b_.strides());
    EXPECT_TRUE(c_.grad().eq(c).all().item<bool>()) << c_.grad();
  }
  void Clear() {
    for (at::Tensor *tensor : {&a_, &b_, &c_}) tensor->mutable_grad().reset();
  }

  at::Tensor a_, b_, c_;
  at::Tensor also_ = at::zeros({1}, at::kDouble);
};

TEST_F(GradientBucketsTest, AddUpOverTheRanksStepByStep) {
  for (const BucketSizes sizes : {BucketSizes{}, BucketSizes{1, 1}, BucketSizes{12, 150}}) {
    GradientBuckets buckets(&Together(), {a_, b_, c_}, sizes);
    EXPECT_EQ(buckets.size(), sizes.bytes == 1 ? 3u : sizes.bytes == 150 ? 3u : 1u);
    for (const double factor : {1.0, 4.0}) {
      Clear();
      buckets.Begin();
      buckets.Arm();
      Value(ByRank(factor, 2 * factor)).backward();
      also_.fill_(ByRank(1, 2));
      buckets.Finish({also_});
      Expect(3 * factor, 6 * factor, 9 * factor);
      EXPECT_EQ(also_.item<double>(), 3);
    }
  }
  Clear();
  Value(1).backward();  // the hooks are gone with the buckets
  Expect(1, 2, 3);
}

TEST_F(GradientBucketsTest, AreSentDuringThePassInTheirOrder) {
  Recorder recorder;
  GradientBuckets buckets(&recorder, {a_, b_, c_}, {1, 1});
  buckets.Begin();
  Value(1).backward();
  EXPECT_TRUE(recorder.sent.empty());  // not the last pass yet
  buckets.Arm();
  (a_ * 2.0).sum().backward();
  EXPECT_TRUE(recorder.sent.empty());  // c goes first
  (c_ * 2.0).sum().backward();
  EXPECT_EQ(recorder.sent, (std::vector<int64_t>{3}));
  (b_ * 2.0).sum().backward();
  EXPECT_EQ(recorder.sent, (std::vector<int64_t>{3, 36, 10}));
  buckets.Finish({also_});
  EXPECT_EQ(recorder.sent, (std::vector<int64_t>{3, 36, 10, 1}));
}

TEST_F(GradientBucketsTest, OnlyTheLastOfSeveralPassesSends) {
  GradientBuckets buckets(&Together(), {a_, b_, c_}, {1, 1});
  buckets.Begin();
  Value(ByRank(1, 10)).backward();
  if (TwoRanks().rank() == 1) Value(10).backward();  // parts of another number
  buckets.Arm();
  Value(ByRank(1, 10)).backward();
  buckets.Finish({also_});
  Expect(32, 64, 96);
}

TEST_F(GradientBucketsTest, WhatOneRankLacksIsZeroThereAndWhatAllLackIsNone) {
  GradientBuckets buckets(&Together(), {a_, b_, c_}, {1, 1});
  buckets.Begin();
  buckets.Arm();
  Value(ByRank(1, 2), /*with_a=*/TwoRanks().rank() == 0, /*with_b=*/false).backward();
  const bool first = TwoRanks().rank() == 0;
  EXPECT_EQ(buckets.Used(), (std::vector<bool>{first, false, true}));
  buckets.Finish({also_});
  buckets.Forget({true, false, true});
  EXPECT_TRUE(a_.grad().eq(1).all().item<bool>());
  EXPECT_FALSE(b_.grad().defined());
  EXPECT_TRUE(c_.grad().eq(9).all().item<bool>());
}

TEST_F(GradientBucketsTest, ARankWithoutAnyPassTakesPart) {
  GradientBuckets buckets(&Together(), {a_, b_, c_}, {1, 1});
  buckets.Begin();
  if (TwoRanks().rank() == 0) {
    buckets.Arm();
    Value(1).backward();
  }
  buckets.Finish({also_});
  Expect(1, 2, 3);
}

TEST_F(GradientBucketsTest, PassesTakenAgainCountOnce) {
  GradientBuckets buckets(&Together(), {a_, b_, c_}, {1, 1});
  buckets.Begin();
  buckets.Arm();
  if (TwoRanks().rank() == 1) {
    // Memory runs out when the gradients of c, which are sent first, are there.
    (c_ * 3.0).sum().backward();
    Clear();
    buckets.Restart();
    Value(0.5).backward();
    buckets.Arm();
    Value(0.5).backward();
  } else {
    Value(1).backward();
  }
  buckets.Finish({also_});
  Expect(2, 4, 6);
}

}  // namespace
}  // namespace trainyard
