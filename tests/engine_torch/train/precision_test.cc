// Number formats of a step: what autocast is while a guard lives, torch.amp.GradScaler's rule, steps in bf16 and fp16,
// and the process-wide settings behind train.precision and train.deterministic.
#include "engine_torch/train/precision.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <thread>

#include "engine_torch/models/registry.h"
#include "engine_torch/train/grad_scaler.h"
#include "engine_torch/train/learner.h"
#include "util/error.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();

bool Enabled() {
  return at::autocast::is_autocast_enabled(at::kCPU);
}

template <typename Work>
std::string MessageOf(const Work &work) {
  try {
    work();
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

TEST(Autocast, IsOnWhileItLivesInItsThreadAlone) {
  ASSERT_FALSE(Enabled());
  const at::ScalarType before = at::autocast::get_autocast_dtype(at::kCPU);
  {
    const Autocast outer(Precision::kFp16, at::kCPU);
    EXPECT_TRUE(Enabled());
    EXPECT_EQ(at::autocast::get_autocast_dtype(at::kCPU), at::kHalf);
    {
      const Autocast inner(Precision::kBf16, at::kCPU);
      EXPECT_EQ(at::autocast::get_autocast_dtype(at::kCPU), at::kBFloat16);
      EXPECT_EQ(at::matmul(at::ones({2, 2}), at::ones({2, 2})).scalar_type(), at::kBFloat16);
    }
    EXPECT_EQ(at::autocast::get_autocast_dtype(at::kCPU), at::kHalf);
    {
      const Autocast off(Precision::kFp32, at::kCPU);
      EXPECT_FALSE(Enabled());
    }
    bool elsewhere = true;
    std::thread([&] { elsewhere = Enabled(); }).join();
    EXPECT_FALSE(elsewhere);
    try {
      const Autocast thrown(Precision::kFp32, at::kCPU);
      throw std::runtime_error("out of it");
    } catch (const std::runtime_error &) {
      EXPECT_TRUE(Enabled());
    }
  }
  EXPECT_FALSE(Enabled());
  EXPECT_EQ(at::autocast::get_autocast_dtype(at::kCPU), before);
}

// A copy of a weight that was made without gradients, or before the weight changed, must not come back.
TEST(Autocast, CopiesOfWeightsDoNotOutliveIt) {
  const at::Tensor weight = at::ones({2, 2}).set_requires_grad(true), input = at::ones({1, 2});
  {
    const c10::NoGradGuard no_grad;
    const Autocast outer(Precision::kBf16, at::kCPU);
    EXPECT_FALSE(at::linear(input, weight).requires_grad());
    const at::AutoGradMode gradients(true);
    const Autocast inner(Precision::kBf16, at::kCPU);
    EXPECT_TRUE(at::linear(input, weight).requires_grad());
  }
  {
    const c10::NoGradGuard no_grad;
    weight.fill_(3);
  }
  const Autocast again(Precision::kBf16, at::kCPU);
  EXPECT_EQ(at::linear(input, weight)[0][0].item<float>(), 6);
}

// torch.amp.GradScaler: 65536 at first, halved by a step with an infinity, doubled by 2000 good ones in a row.
TEST(GradScaler, FollowsTheDocumentedRule) {
  GradScaler scaler(true, at::kCPU);
  const auto step = [&](float value) {
    const at::Tensor gradient = at::full({3}, value);
    return scaler.Unscale({at::ones({2}), gradient});
  };
  EXPECT_EQ(scaler.state().scale, 65536);
  EXPECT_TRUE(step(1));
  EXPECT_FALSE(step(kInf));
  EXPECT_FALSE(step(std::numeric_limits<float>::quiet_NaN()));
  EXPECT_EQ(scaler.state().scale, 16384);
  EXPECT_EQ(scaler.state().good_steps, 0);
  EXPECT_EQ(scaler.state().skipped, 2);
  for (int i = 0; i < 1999; ++i) ASSERT_TRUE(step(1));
  EXPECT_EQ(scaler.state().scale, 16384);
  EXPECT_EQ(scaler.state().good_steps, 1999);
  EXPECT_TRUE(step(1));
  EXPECT_EQ(scaler.state().scale, 32768);
  EXPECT_EQ(scaler.state().good_steps, 0);
}

TEST(GradScaler, ScalesTheLossAndDividesTheGradients) {
  GradScaler scaler(true, at::kCPU);
  scaler.Restore({4, 7, 2});
  const at::Tensor loss = at::full({}, 3.0);
  EXPECT_EQ(scaler.Scale(loss).item<float>(), 12);
  const at::Tensor gradient = at::full({2}, 12.0);
  EXPECT_TRUE(scaler.Unscale({gradient}));
  EXPECT_EQ(gradient[1].item<float>(), 3);
  EXPECT_EQ(scaler.state().good_steps, 8);
  EXPECT_EQ(scaler.state().skipped, 2);
}

TEST(GradScaler, ThatIsOffChangesNothing) {
  GradScaler scaler(false, at::kCPU);
  const at::Tensor value = at::full({1}, kInf);
  EXPECT_TRUE(scaler.Unscale({value}));
  EXPECT_TRUE(scaler.Scale(value).is_same(value));
}

class PrecisionStep : public testing::Test {
 protected:
  struct Stepped {
    at::Tensor parameters;
    Learner::Outcome outcome;
    GradScaler::State scaler;
  };
  Stepped Step(Precision precision, double first_scale = GradScaler::kFirstScale) const {
    TrainSettings settings;
    settings.precision = precision;
    settings.optimizer.momentum = 0.9;
    at::manual_seed(1);
    const std::shared_ptr<ImageClassifier> model = MakeModel("squeezenet1_1", 3);
    model->eval();
    Learner learner(model, settings, Learner::Input::kImages, {2, 2, 2}, [](int64_t) {});
    learner.scaler().Restore({first_scale, 0, 0});
    Stepped stepped;
    stepped.outcome = learner.Step(images_, targets_, {0.01, 0.9}, 1);
    std::vector<at::Tensor> parts;
    for (const at::Tensor &parameter : model->parameters()) {
      EXPECT_EQ(parameter.scalar_type(), at::kFloat);
      parts.push_back(parameter.detach().reshape(-1).clone());
    }
    stepped.parameters = at::cat(parts);
    stepped.scaler = learner.scaler().state();
    EXPECT_FALSE(Enabled());
    return stepped;
  }
  const at::Tensor images_ = at::arange(3 * 3 * 40 * 40, at::kFloat).mul(0.37).sin().view({3, 3, 40, 40});
  const at::Tensor targets_ = at::arange(3, at::kLong);
};

TEST_F(PrecisionStep, LowPrecisionStepsGoWhereFullOnesGo) {
  const Stepped whole = Step(Precision::kFp32);
  const double loss = whole.outcome.loss.item<double>();
  for (const Precision precision : {Precision::kBf16, Precision::kFp16}) {
    const Stepped low = Step(precision);
    EXPECT_FALSE(low.outcome.overflowed);
    EXPECT_EQ(low.outcome.loss.scalar_type(), at::kFloat);
    EXPECT_NE(low.outcome.loss.item<double>(), loss) << NameOf(precision);
    EXPECT_NEAR(low.outcome.loss.item<double>(), loss, 0.02) << NameOf(precision);
    EXPECT_LT((low.parameters - whole.parameters).abs().max().item<float>(), 2e-3) << NameOf(precision);
  }
  EXPECT_TRUE(at::equal(Step(Precision::kTf32).parameters, whole.parameters)) << "a CPU has no TF32";
}

TEST_F(PrecisionStep, GradientsBeyondFp16LeaveTheStepOut) {
  const Stepped start = Step(Precision::kFp16, 0x1p120);
  EXPECT_TRUE(start.outcome.overflowed);
  EXPECT_FALSE(start.outcome.skipped);
  EXPECT_EQ(start.scaler.scale, 0x1p119);
  EXPECT_EQ(start.scaler.skipped, 1);
  at::manual_seed(1);
  const std::shared_ptr<ImageClassifier> model = MakeModel("squeezenet1_1", 3);
  std::vector<at::Tensor> parts;
  for (const at::Tensor &parameter : model->parameters()) parts.push_back(parameter.detach().reshape(-1));
  EXPECT_TRUE(at::equal(start.parameters, at::cat(parts)));
}

// With parts of a batch, all of them are scaled alike, and the step is the whole batch's.
TEST_F(PrecisionStep, TheScaleCancelsOut) {
  const at::Tensor one = Step(Precision::kFp16, 1024).parameters;
  EXPECT_LT((Step(Precision::kFp16, 4096).parameters - one).abs().max().item<float>(), 1e-4);
}

TEST(Numerics, AreTheProcesssAndOnlyChangedInOurOwn) {
  TrainSettings settings;
  settings.deterministic = true;
  EXPECT_THAT(MessageOf([&] { SetNumerics(settings, at::kCPU, false); }), HasSubstr("'train.deterministic' changes"));
  settings.deterministic = false;
  settings.precision = Precision::kTf32;
  EXPECT_THAT(MessageOf([&] { SetNumerics(settings, c10::Device("cuda:0"), false); }), HasSubstr("allow TF32"));
  SetNumerics(settings, at::kCPU, false);
  SetNumerics(settings, c10::Device("cuda:0"), true);
  EXPECT_TRUE(at::globalContext().allowTF32CuDNN());
  EXPECT_TRUE(at::globalContext().allowTF32CuBLAS());
  EXPECT_TRUE(at::globalContext().benchmarkCuDNN());
  settings.precision = Precision::kFp32;
  SetNumerics(settings, at::kCPU, true);
  EXPECT_FALSE(at::globalContext().allowTF32CuDNN());
  EXPECT_FALSE(at::globalContext().allowTF32CuBLAS());
  EXPECT_FALSE(at::globalContext().deterministicAlgorithms());
}

TEST(Numerics, ADeterministicGpuNeedsItsVariable) {
  TrainSettings settings;
  settings.deterministic = true;
  unsetenv("CUBLAS_WORKSPACE_CONFIG");
  EXPECT_THAT(MessageOf([&] { SetNumerics(settings, c10::Device("cuda:0"), true); }),
              HasSubstr("needs CUBLAS_WORKSPACE_CONFIG=:4096:8"));
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 1);
  SetNumerics(settings, c10::Device("cuda:0"), true);
  EXPECT_TRUE(at::globalContext().deterministicAlgorithms());
  EXPECT_TRUE(at::globalContext().deterministicCuDNN());
  EXPECT_FALSE(at::globalContext().benchmarkCuDNN());
  settings.deterministic = false;
  SetNumerics(settings, at::kCPU, true);
  EXPECT_FALSE(at::globalContext().deterministicCuDNN());
}

}  // namespace
}  // namespace trainyard
