// Steps of two ranks against those of one learner that has the whole batch, and what happens to a single rank: fewer
// images, memory that runs out, a loss that is no number.
#include "engine_torch/train/learner.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>

#include "engine_torch/models/registry.h"
#include "engine_torch/parallel/two_ranks.h"
#include "engine_torch/train/limited_allocator.h"

namespace trainyard {
namespace {

class TwoLearnersTest : public testing::Test {
 protected:
  TwoLearnersTest() {
    settings_.optimizer.lr = 0.01;
    settings_.optimizer.momentum = 0.9;
    at::manual_seed(3);
    images_ = at::randn({8, 3, 64, 64});
    targets_ = at::arange(8, at::kLong).remainder(3);
  }
  ~TwoLearnersTest() override { Memory().limit = std::numeric_limits<size_t>::max(); }

  // Evaluation mode: no dropout and no batch statistics; `training` where those are the point.
  std::shared_ptr<ImageClassifier> NewModel(const char *name, bool training) const {
    at::manual_seed(1);
    std::shared_ptr<ImageClassifier> model = MakeModel(name, 3);
    model->to(images_.scalar_type());
    model->train(training);
    return model;
  }
  Learner NewLearner(const std::shared_ptr<ImageClassifier> &model, const Ranks *ranks) {
    return {model, settings_, Learner::Input::kImages, {4, 4, 4}, [this](int64_t images) { told_.push_back(images); },
            ranks};
  }
  at::Tensor Own(const at::Tensor &all) const {
    return TwoRanks().rank() == 0 ? all.narrow(0, 0, of_first_) : all.narrow(0, of_first_, all.size(0) - of_first_);
  }
  static double Difference(const ImageClassifier &a, const ImageClassifier &b) {
    double most = 0;
    for (const bool buffers : {false, true}) {
      const auto left = buffers ? a.buffers() : a.parameters(), right = buffers ? b.buffers() : b.parameters();
      for (size_t i = 0; i < left.size(); ++i) {
        most = std::max(most, (left[i] - right[i]).abs().max().item<double>());
      }
    }
    return most;
  }

  // `steps` of both kinds; losses and weights must agree, and the ranks bit by bit.
  void ExpectSameSteps(const char *name, bool training, int steps, double loss_tolerance, double weight_tolerance) {
    const auto alone = NewModel(name, training), shared = NewModel(name, training);
    TrainSettings settings = settings_;
    settings_.micro_batch_size = 0;
    Learner one = NewLearner(alone, nullptr);
    settings_ = settings;
    Learner two = NewLearner(shared, &TwoRanks());
    for (int step = 1; step <= steps; ++step) {
      const auto expected = one.Step(images_, targets_, {0.01, 0.9}, 5);
      const auto got = two.Step(Own(images_), Own(targets_), {0.01, 0.9}, 5);
      EXPECT_NEAR(got.loss.item<double>(), expected.loss.item<double>(), loss_tolerance) << "step " << step;
      EXPECT_EQ(got.correct.item<int64_t>(), expected.correct.item<int64_t>()) << "step " << step;
      EXPECT_EQ(got.images, 8);
    }
    EXPECT_LT(Difference(*alone, *shared), weight_tolerance);
    EXPECT_GT(Difference(*NewModel(name, training), *shared), 1e-3);
    EXPECT_TRUE(TwoRanks().Same(ChecksumOf(shared->parameters())));
  }

  TrainSettings settings_;
  at::Tensor images_, targets_;
  int64_t of_first_ = 4;
  std::vector<int64_t> told_;
};

TEST_F(TwoLearnersTest, MakeTheStepsOfOneWithTheWholeBatch) {
  ExpectSameSteps("squeezenet1_1", false, 5, 1e-5, 1e-5);
}

TEST_F(TwoLearnersTest, WeighClassesByTheWholeBatch) {
  settings_.loss.class_weights = "1,3,0.25";
  of_first_ = 3;
  ExpectSameSteps("squeezenet1_1", false, 3, 1e-5, 1e-5);
}

TEST_F(TwoLearnersTest, MayTakeTheirImagesInParts) {
  settings_.micro_batch_size = ByRank(3, 1);
  settings_.optimizer.kind = OptimizerKind::kAdamW;
  settings_.optimizer.beta1 = 0.9;
  settings_.optimizer.beta2 = 0.999;
  settings_.optimizer.epsilon = 1e-3;
  ExpectSameSteps("squeezenet1_1", false, 3, 2e-4, 1e-4);
}

TEST_F(TwoLearnersTest, OneMayHaveNoImages) {
  of_first_ = 8;
  ExpectSameSteps("squeezenet1_1", false, 2, 1e-5, 1e-5);
}

TEST_F(TwoLearnersTest, NoImagesAtAllAreNoStep) {
  const auto model = NewModel("squeezenet1_1", false);
  Learner learner = NewLearner(model, &TwoRanks());
  const auto outcome = learner.Step(images_.narrow(0, 0, 0), targets_.narrow(0, 0, 0), {0.01, 0.9}, 5);
  EXPECT_EQ(outcome.images, 0);
  EXPECT_EQ(Difference(*NewModel("squeezenet1_1", false), *model), 0);
}

TEST_F(TwoLearnersTest, ClippedGradientsAreTheWholeBatchs) {
  settings_.clip_norm = 0.05;
  const auto alone = NewModel("squeezenet1_1", false), shared = NewModel("squeezenet1_1", false);
  NewLearner(alone, nullptr).Step(images_, targets_, {0.01, 0.9}, 5);
  NewLearner(shared, &TwoRanks()).Step(Own(images_), Own(targets_), {0.01, 0.9}, 5);
  EXPECT_LT(Difference(*alone, *shared), 1e-7);
}

TEST_F(TwoLearnersTest, SynchronisedBatchNormsMakeTheStepsOfOne) {
  settings_.sync_batch_norm = true;
  images_ = images_.to(at::kDouble);  // in float, rounding grows a thousandfold in every step
  of_first_ = 5;
  ExpectSameSteps("resnet18", true, 3, 1e-7, 1e-7);
}

TEST_F(TwoLearnersTest, SynchronisedBatchNormsWaitForThoseWithImages) {
  settings_.sync_batch_norm = true;
  images_ = images_.to(at::kDouble);
  of_first_ = 8;
  ExpectSameSteps("resnet18", true, 1, 1e-7, 1e-7);
}

TEST_F(TwoLearnersTest, OwnBatchNormsDoNot) {
  const auto alone = NewModel("resnet18", true), shared = NewModel("resnet18", true);
  const auto expected = NewLearner(alone, nullptr).Step(images_, targets_, {0.01, 0.9}, 5);
  const auto got = NewLearner(shared, &TwoRanks()).Step(Own(images_), Own(targets_), {0.01, 0.9}, 5);
  EXPECT_GT(std::abs(got.loss.item<double>() - expected.loss.item<double>()), 1e-3);
}

TEST_F(TwoLearnersTest, MemoryThatRunsOutOnOneRankKeepsTheStep) {
  images_ = at::randn({8, 3, 128, 128});
  const auto step = [&] {
    const auto model = NewModel("squeezenet1_1", false);
    NewLearner(model, &TwoRanks()).Step(Own(images_), Own(targets_), {0.01, 0.9}, 5);
    return model;
  };
  settings_.micro_batch_size = ByRank(0, 2);
  Memory().largest = 0;
  const auto expected = step();
  settings_.micro_batch_size = 0;
  // What two images need fits, what four need does not.
  if (TwoRanks().rank() == 1) Memory().limit = Memory().largest.load();
  const auto got = step();
  Memory().limit = std::numeric_limits<size_t>::max();
  EXPECT_EQ(told_, (ByRank(std::vector<int64_t>{}, std::vector<int64_t>{2})));
  EXPECT_EQ(Difference(*expected, *got), 0);
  EXPECT_TRUE(TwoRanks().Same(ChecksumOf(got->parameters())));
}

TEST_F(TwoLearnersTest, ALossThatIsNoNumberOnOneRankIsSkippedByBoth) {
  settings_.nan_policy = NanPolicy::kSkip;
  const auto model = NewModel("resnet18", true);
  Learner learner = NewLearner(model, &TwoRanks());
  at::Tensor bad = Own(images_).clone();
  if (TwoRanks().rank() == 1) bad[0][0][0][0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(learner.Step(bad, Own(targets_), {0.01, 0.9}, 2).skipped);
  EXPECT_EQ(Difference(*NewModel("resnet18", true), *model), 0);
  EXPECT_FALSE(learner.Step(Own(images_), Own(targets_), {0.01, 0.9}, 3).skipped);
  EXPECT_TRUE(TwoRanks().Same(ChecksumOf(model->parameters())));
}

}  // namespace
}  // namespace trainyard
