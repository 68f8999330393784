// Steps that are recorded and repeated: which ones, and that they are the ordinary steps. What records here is a
// stand-in that does the host's part again with each replay; that kernels are recorded rightly is for a GPU to show
// (tests/gpu).
#include "engine_torch/train/step_graph.h"

#include <ATen/Functions.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine_torch/cuda/cuda_half.h"
#include "engine_torch/models/registry.h"
#include "engine_torch/train/learner.h"
#include "util/fs.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

struct Calls {
  int side = 0, record = 0, replay = 0;
  bool fails = false;
} calls;

class StandIn final : public GraphCapture {
 public:
  void OnSideStream(const std::function<void()> &work) override {
    ++calls.side;
    work();
  }
  void Record(const std::function<void()> &work) override {
    ++calls.record;
    TORCH_CHECK(!calls.fails, "operation not permitted when stream is capturing\nmore");
    work_ = work;
  }
  void Replay() override {
    ++calls.replay;
    work_();
  }

 private:
  std::function<void()> work_;
};

class StepGraphTest : public testing::Test {
 protected:
  StepGraphTest() {
    calls = {};
    settings_.optimizer.lr = 0.01;
    settings_.optimizer.momentum = 0.9;
    settings_.optimizer.beta1 = 0.9;
    settings_.optimizer.beta2 = 0.999;
    settings_.optimizer.epsilon = 1e-8;
  }
  ~StepGraphTest() override { SetGraphCapture(nullptr); }

  static at::Tensor Images(int64_t step, int64_t count) {
    return at::arange(count * 3 * 32 * 32, at::kFloat)
        .mul(0.37)
        .add(static_cast<double>(step))
        .sin()
        .view({count, 3, 32, 32});
  }
  // The batches: one of two samples among those of four.
  std::vector<at::Tensor> Run(bool recorded, const std::vector<double> &momenta = std::vector<double>(9, 0.9)) {
    const bool fails = calls.fails;
    calls = {};
    calls.fails = fails;
    SetGraphCapture(recorded ? [](c10::Device) -> std::unique_ptr<GraphCapture> { return std::make_unique<StandIn>(); }
                             : MakeGraphCapture(nullptr));
    at::manual_seed(1);
    const std::shared_ptr<ImageClassifier> model = MakeModel("mobilenet_v3_small", 3);
    model->train();
    Learner learner(model, settings_, Learner::Input::kImages, {2, 2, 2}, [](int64_t) {});
    std::vector<at::Tensor> seen;
    for (int64_t step = 0; step < static_cast<int64_t>(momenta.size()); ++step) {
      const int64_t count = step == 5 ? 2 : 4;
      const StepRates rates{std::ldexp(1, static_cast<int>(-7 - step)), momenta[static_cast<size_t>(step)]};
      const at::Tensor targets = at::arange(count, at::kLong).remainder(3);
      seen.push_back(learner.Step(Images(step, count), targets, rates, static_cast<uint64_t>(step)).loss);
    }
    EXPECT_EQ(learner.is_recorded(), calls.replay > 0);
    const MovingAverage::InPlace average(&learner.average());
    for (const at::Tensor &parameter : model->parameters()) seen.push_back(parameter.detach().clone());
    for (const at::Tensor &buffer : model->buffers()) seen.push_back(buffer.to(at::kFloat));
    return seen;
  }
  static double Difference(const std::vector<at::Tensor> &a, const std::vector<at::Tensor> &b) {
    EXPECT_EQ(a.size(), b.size());
    double most = 0;
    for (size_t i = 0; i < a.size(); ++i) most = std::max(most, (a[i] - b[i]).abs().max().item<double>());
    return most;
  }

  TrainSettings settings_;
};

TEST_F(StepGraphTest, RepeatsTheOrdinaryStep) {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam, OptimizerKind::kAdamW}) {
    for (const bool more : {false, true}) {
      settings_.optimizer.kind = kind;
      settings_.clip_norm = more ? 0.5 : 0;
      settings_.ema_decay = more ? 0.5 : 0;
      settings_.optimizer.lr_factors = more ? "classifier.*=10" : "";
      settings_.micro_batch_size = more ? 2 : 0;
      const std::vector<at::Tensor> ordinary = Run(false);
      calls = {};
      const std::vector<at::Tensor> repeated = Run(true);
      // Three on the side, one recorded, and each but the batch of two samples replayed.
      EXPECT_EQ(calls.side, 3);
      EXPECT_EQ(calls.record, 1);
      EXPECT_EQ(calls.replay, 5);
      // The rates here are the same as float32, which a graph has them in.
      EXPECT_EQ(Difference(ordinary, repeated), 0) << static_cast<int>(kind) << more;
    }
  }
}

TEST_F(StepGraphTest, AnotherMomentumIsTheOrdinaryStep) {
  const std::vector<double> momenta = {0.9, 0.9, 0.9, 0.9, 0.8, 0.7, 0.9};
  const std::vector<at::Tensor> ordinary = Run(false, momenta);
  calls = {};
  EXPECT_EQ(Difference(ordinary, Run(true, momenta)), 0);
  EXPECT_EQ(calls.replay, 2);
}

TEST_F(StepGraphTest, WhatCannotBeRecordedIsDoneStepByStep) {
  const std::vector<at::Tensor> ordinary = Run(false);
  calls = {};
  calls.fails = true;
  EXPECT_EQ(Difference(ordinary, Run(true)), 0);
  EXPECT_EQ(calls.record, 1);
  EXPECT_EQ(calls.replay, 0);
}

TEST_F(StepGraphTest, TheFailureIsTold) {
  std::string told;
  calls.fails = true;
  StepGraph graph(
      std::make_unique<StandIn>(), {1}, at::kCPU,
      [](const at::Tensor &inputs, const at::Tensor &) -> StepGraph::Result {
        return {inputs.sum(), inputs.sum()};
      },
      [&](const std::string &why) { told = why; });
  const at::Tensor one = at::ones({1, 2});
  std::optional<StepGraph::Result> result;
  for (int64_t i = 0; i <= StepGraph::kWarmUps; ++i) {
    ASSERT_TRUE(graph.Takes(one, one, 0));
    result = graph.Step(one, one, 0.1);
  }
  EXPECT_FALSE(result.has_value());
  EXPECT_THAT(told, HasSubstr("not permitted when stream is capturing"));
  EXPECT_EQ(told.find('\n'), std::string::npos);
  EXPECT_FALSE(graph.Takes(one, one, 0));
}

TEST_F(StepGraphTest, ResultsOutliveTheNextReplay) {
  at::Tensor sum = at::zeros({});
  StepGraph graph(
      std::make_unique<StandIn>(), {1}, at::kCPU,
      [&](const at::Tensor &inputs, const at::Tensor &) -> StepGraph::Result {
        sum.copy_(inputs.sum());
        return {sum, sum};
      },
      [](const std::string &) {});
  std::vector<at::Tensor> results;
  for (int64_t i = 1; i <= 6; ++i) {
    const at::Tensor inputs = at::full({1, 2}, static_cast<double>(i));
    ASSERT_TRUE(graph.Takes(inputs, inputs, 0));
    results.push_back(graph.Step(inputs, inputs, 0.1).value().loss);
  }
  EXPECT_EQ(results[4].item<float>(), 10);
  EXPECT_EQ(results[5].item<float>(), 12);
}

TEST_F(StepGraphTest, SettingsThatNeedTheHostInEachStepAreNotRecorded) {
  EXPECT_EQ(GraphObstacle(settings_, false), "");
  EXPECT_THAT(GraphObstacle(settings_, true), HasSubstr("host takes part"));
  const auto with = [&](const auto &change) {
    TrainSettings settings = settings_;
    change(&settings);
    return GraphObstacle(settings, false);
  };
  EXPECT_EQ(with([](TrainSettings *s) { s->clip_norm = 1; }), "");
  EXPECT_EQ(with([](TrainSettings *s) { s->precision = Precision::kBf16; }), "");
  EXPECT_THAT(with([](TrainSettings *s) { s->cuda_graphs = CudaGraphs::kOff; }), HasSubstr("is off"));
  EXPECT_THAT(with([](TrainSettings *s) { s->precision = Precision::kFp16; }), HasSubstr("fp16"));
  EXPECT_THAT(with([](TrainSettings *s) { s->nan_policy = NanPolicy::kSkip; }), HasSubstr("nan_policy skip"));
  EXPECT_THAT(with([](TrainSettings *s) { s->loss.class_weights = "1,2,3"; }), HasSubstr("class_weights"));
  EXPECT_THAT(with([](TrainSettings *s) { s->optimizer.kind = OptimizerKind::kRmsProp; }), HasSubstr("rmsprop"));
  settings_.nan_policy = NanPolicy::kSkip;
  Run(true);
  EXPECT_EQ(calls.side + calls.record + calls.replay, 0);
}

TEST(CudaHalf, ThatCannotBeHadIsNamedAndMissesNothing) {
  const TempDir directory;
  EXPECT_THAT(LoadCudaHalf(directory.path()), HasSubstr("is not there"));
  WriteFileAtomic(JoinPath(directory.path(), kCudaHalfLibrary), "no library");
  EXPECT_THAT(LoadCudaHalf(directory.path()), HasSubstr(kCudaHalfLibrary));
  EXPECT_EQ(NewGraphCapture(at::kCPU), nullptr);
}

}  // namespace
}  // namespace trainyard
