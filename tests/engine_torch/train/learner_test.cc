// Steps of a learner: parts of a batch, memory that runs out, losses that are no numbers, and which parameters move.
#include "engine_torch/train/learner.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <map>

#include "engine_torch/models/registry.h"
#include "engine_torch/train/limited_allocator.h"
#include "engine_torch/train/parameters.h"
#include "util/error.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

class LearnerTest : public testing::Test {
 protected:
  LearnerTest() {
    settings_.optimizer.lr = 0.01;
    settings_.optimizer.momentum = 0.9;
    at::manual_seed(3);
    images_ = at::randn({8, 3, 64, 64});
    targets_ = at::arange(8, at::kLong).remainder(3);
  }
  ~LearnerTest() override { Memory().limit = std::numeric_limits<size_t>::max(); }

  // Without dropout and batch statistics, so that parts of a batch do not know of each other.
  std::shared_ptr<ImageClassifier> NewModel(const char *name = "squeezenet1_1") {
    at::manual_seed(1);
    std::shared_ptr<ImageClassifier> model = MakeModel(name, 3);
    model->eval();
    return model;
  }
  Learner NewLearner(const std::shared_ptr<ImageClassifier> &model) {
    return {model, settings_, Learner::Input::kImages, {4, 4, 4}, [this](int64_t images) { told_.push_back(images); }};
  }
  static at::Tensor Flat(const ImageClassifier &model) {
    std::vector<at::Tensor> parts;
    for (const at::Tensor &parameter : model.parameters()) parts.push_back(parameter.detach().reshape(-1));
    for (const at::Tensor &buffer : model.buffers()) parts.push_back(buffer.to(at::kFloat).reshape(-1));
    return at::cat(parts);
  }
  // All values after a step.
  at::Tensor AfterStep() {
    const auto model = NewModel();
    NewLearner(model).Step(images_, targets_, {0.01, 0.9}, 5);
    return Flat(*model);
  }

  TrainSettings settings_;
  at::Tensor images_, targets_;
  std::vector<int64_t> told_;
};

TEST_F(LearnerTest, PartsOfABatchMakeTheSameStepAsTheWhole) {
  for (const char *weights : {"", "1,2,0.5"}) {
    settings_.loss.class_weights = weights;
    settings_.micro_batch_size = 0;
    const at::Tensor start = Flat(*NewModel());
    const at::Tensor whole = AfterStep();
    ASSERT_GT((whole - start).abs().max().item<float>(), 1e-4);
    for (const int64_t part : {1, 3, 4}) {
      settings_.micro_batch_size = part;
      EXPECT_LT((AfterStep() - whole).abs().max().item<float>(), 1e-6) << part << " at once";
    }
  }
}

TEST_F(LearnerTest, MemoryThatRunsOutHalvesThePartsAndKeepsTheStep) {
  images_ = at::randn({8, 3, 128, 128});
  settings_.micro_batch_size = 2;
  Memory().largest = 0;
  const at::Tensor expected = AfterStep();
  settings_.micro_batch_size = 0;
  // What two images need fits, what four need does not.
  Memory().limit = Memory().largest.load();
  const at::Tensor got = AfterStep();
  EXPECT_EQ(told_, (std::vector<int64_t>{4, 2}));
  EXPECT_TRUE(at::equal(got, expected));
}

TEST_F(LearnerTest, MemoryForNotEvenOneImageIsAnError) {
  Memory().limit = 1000;
  EXPECT_THROW(AfterStep(), c10::OutOfMemoryError);
}

TEST_F(LearnerTest, ASkippedStepLeavesBatchNormsAsTheyWere) {
  settings_.nan_policy = NanPolicy::kSkip;
  const auto model = NewModel("resnet18");
  model->train();
  Learner learner = NewLearner(model);
  learner.Step(images_, targets_, {0.01, 0.9}, 1);
  const at::Tensor before = Flat(*model);
  const at::Tensor bad = images_.clone();
  bad[0][0][0][0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(learner.Step(bad, targets_, {0.01, 0.9}, 2).skipped);
  EXPECT_TRUE(at::equal(Flat(*model), before));
  EXPECT_FALSE(learner.Step(images_, targets_, {0.01, 0.9}, 3).skipped);
  EXPECT_FALSE(at::equal(Flat(*model), before));
}

TEST_F(LearnerTest, FrozenParametersStayAndFactorsScaleTheRate) {
  const auto model = NewModel();
  FreezeMatching(model.get(), "features.0.*, features.3.*");
  settings_.optimizer.lr_factors = "features.*=0,classifier.1.bias=0.5";
  std::map<std::string, at::Tensor> before;
  for (const auto &parameter : model->named_parameters()) before[parameter.key()] = parameter.value().detach().clone();
  Learner learner = NewLearner(model);
  ASSERT_EQ(learner.optimizer().groups().size(), 3u);
  learner.Step(images_, targets_, {0.01, 0.9}, 1);
  for (const auto &parameter : model->named_parameters()) {
    const bool moved = !at::equal(parameter.value().detach(), before[parameter.key()]);
    EXPECT_EQ(moved, parameter.key().starts_with("classifier.")) << parameter.key();
    EXPECT_EQ(parameter.value().grad().defined(),
              !parameter.key().starts_with("features.0.") && !parameter.key().starts_with("features.3."))
        << parameter.key();
  }
}

TEST_F(LearnerTest, PatternsThatFitNothingAreNamed) {
  const auto message = [](const auto &work) -> std::string {
    try {
      work();
    } catch (const Error &error) {
      return error.what();
    }
    return "";
  };
  const auto model = NewModel();
  EXPECT_THAT(message([&] { FreezeMatching(model.get(), "layer9.*"); }),
              HasSubstr("'layer9.*'; their names are features.0"));
  EXPECT_THAT(message([&] { GroupParameters(*model, "fc.*=2"); }), HasSubstr("no parameter fits 'fc.*'"));
  EXPECT_THAT(message([&] { FreezeMatching(model.get(), "*"); }), HasSubstr("leaves no parameter to train"));
  settings_.loss.class_weights = "1,2";
  EXPECT_THAT(message([&] { NewLearner(model); }), HasSubstr("has 2 numbers, and there are 3 classes"));
}

TEST_F(LearnerTest, TheMovingAverageChangesPlacesAndBack) {
  settings_.ema_decay = 0.5;
  const auto model = NewModel();
  Learner learner = NewLearner(model);
  learner.Step(images_, targets_, {0.01, 0.9}, 1);
  const at::Tensor first = Flat(*model);
  learner.Step(images_, targets_, {0.01, 0.9}, 2);
  const at::Tensor second = Flat(*model);
  {
    const MovingAverage::InPlace average(&learner.average());
    EXPECT_LT((Flat(*model) - (first + second) / 2).abs().max().item<float>(), 1e-6);
  }
  EXPECT_TRUE(at::equal(Flat(*model), second));
}

// The setting, and that evaluation has LibTorch's whatever it says.
TEST_F(LearnerTest, FastKernelsAreForStepsAlone) {
  std::vector<at::Tensor> losses, after, logits;
  for (const bool fast : {true, false}) {
    settings_.fast_kernels = fast;
    const auto model = NewModel("resnet18");
    ToChannelsLast(model.get());
    const at::Tensor images = images_.contiguous(at::MemoryFormat::ChannelsLast);
    {
      const c10::NoGradGuard no_grad;
      logits.push_back(model->forward(images));
    }
    model->train();
    Learner learner = NewLearner(model);
    losses.push_back(learner.Step(images, targets_, {0.01, 0.9}, 1).loss);
    after.push_back(Flat(*model));
  }
  EXPECT_TRUE(logits[0].equal(logits[1]));
  EXPECT_FALSE(after[0].equal(after[1])) << "the engine's own kernels were not used";
  EXPECT_NEAR(losses[0].item<double>(), losses[1].item<double>(), 1e-4);
}

}  // namespace
}  // namespace trainyard
