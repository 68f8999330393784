// What works beside a fit, and what a fit refuses.
#include <atomic>
#include <limits>

#include "capi/trainer_fit_fixture.h"

namespace trainyard_test {
namespace {

TEST_F(TrainerFitTest, WhatReadsWorksMeanwhileAndWhatChangesIsRefused) {
  const Trainer trainer = New(Settings(R"("epochs":1)"));
  const std::string path = directory / "t.safetensors";
  ASSERT_OK(ty_trainer_save(trainer, path.c_str(), err));
  const auto check = [&] {
    Err own;
    double loss = 0;
    Floats outputs(kBatch);
    EXPECT_EQ(ty_trainer_evaluate(trainer, Inputs(1).tensor(), Sums(1).tensor(), &loss, nullptr, own), TY_OK);
    EXPECT_EQ(ty_trainer_predict(trainer, Inputs(1).tensor(), outputs.data(), outputs.size(), own), TY_OK);
    EXPECT_EQ(ty_trainer_save_weights(trainer, (directory / "w.safetensors").c_str(), own), TY_OK);
    EXPECT_EQ(ty_trainer_save(trainer, (directory / "s.safetensors").c_str(), own), TY_OK);
    EXPECT_EQ(ty_trainer_step(trainer, Inputs(1).tensor(), Sums(1).tensor(), &loss, own), TY_ERR_INVALID_STATE);
    EXPECT_NE(own.message().find("a fit of this trainer is under way"), std::string::npos) << own.message();
    EXPECT_EQ(ty_trainer_end_epoch(trainer, 1, own), TY_ERR_INVALID_STATE);
    EXPECT_EQ(ty_trainer_load(trainer, path.c_str(), own), TY_ERR_INVALID_STATE);
    Host inner;
    EXPECT_EQ(inner.Fit(trainer, own), TY_ERR_INVALID_STATE);
    EXPECT_EQ(inner.destroyed, 1);
    EXPECT_TRUE(inner.asked.empty());
  };
  const auto check_everywhere = [&](auto...) {
    check();
    std::thread(check).join();
    return TY_OK;
  };
  Host host;
  host.before = check_everywhere;
  host.after_epoch = check_everywhere;
  ASSERT_OK(host.Fit(trainer, err));
  EXPECT_EQ(host.summary->ending, TY_FIT_DONE);
  const Trainer undisturbed = New(Settings(R"("epochs":1)"));
  Host other;
  ASSERT_OK(other.Fit(undisturbed, err));
  EXPECT_EQ(Answers(trainer), Answers(undisturbed));
  EXPECT_OK(ty_trainer_step(trainer, Inputs(1).tensor(), Sums(1).tensor(), nullptr, err));
}

// Others predict all the while.
TEST_F(TrainerFitTest, PredictsForOthersWhileItLearns) {
  const std::string json = Settings(R"("epochs":30,"ema_decay":0.9)");
  const Trainer trainer = New(json), alone = New(json);
  Host host, other;
  std::atomic<bool> done{false};
  int64_t predicted = 0;
  std::thread reader([&] {
    while (!done) {
      Answers(trainer);
      ++predicted;
    }
  });
  EXPECT_OK(host.Fit(trainer, err));
  done = true;
  reader.join();
  EXPECT_GT(predicted, 0);
  ASSERT_OK(other.Fit(alone, err));
  EXPECT_EQ(Answers(trainer), Answers(alone));
}

TEST_F(TrainerFitTest, AFailingCallbackFailsTheFitByNameAndPlace) {
  const Trainer trainer = New(Settings(R"("epochs":3)"));
  Host host;
  ty_status answer = TY_ERR_IO;
  std::string at = "train 2.3";
  host.before = [&](ty_fit_phase, int64_t, int64_t) { return host.asked.back() == at ? answer : TY_OK; };
  EXPECT_EQ(host.Fit(trainer, err), TY_ERR_IO);
  EXPECT_EQ(host.summary, nullptr);
  EXPECT_EQ(host.destroyed, 1);
  EXPECT_EQ(err.message(), "next_batch answered TY_ERR_IO in epoch 2, step 3");
  EXPECT_EQ(err.detail("callback"), "next_batch");
  EXPECT_EQ(err.detail("epoch"), "2");
  EXPECT_EQ(err.detail("step"), "3");
  at = "validate 2.2";
  answer = 1234;
  EXPECT_EQ(host.Fit(trainer, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(err.message(),
            "next_batch answered 1234 in epoch 2, validation batch 2: it must be TY_OK, TY_END or one of TY_ERR_...");
  at.clear();
  host.after_epoch = [](const ty_fit_epoch &) { return TY_ERR_CANCELED; };
  EXPECT_EQ(host.Fit(trainer, err), TY_ERR_CANCELED);
  EXPECT_EQ(err.message(), "on_epoch answered TY_ERR_CANCELED in epoch 2");
  EXPECT_EQ(host.destroyed, 3);
  // And in spite of all that:
  host.after_epoch = [](const ty_fit_epoch &) { return TY_OK; };
  ASSERT_OK(host.Fit(trainer, err));
  const Trainer undisturbed = New(Settings(R"("epochs":3)"));
  Host other;
  ASSERT_OK(other.Fit(undisturbed, err));
  EXPECT_EQ(Answers(trainer), Answers(undisturbed));
}

TEST_F(TrainerFitTest, BatchesThatAreNoneAreSaid) {
  const Trainer trainer = New(Settings(R"("epochs":3)"));
  const auto fit = [&](ty_fit_next_batch next) {
    EXPECT_EQ(ty_trainer_fit(trainer, next, nullptr, nullptr, nullptr, nullptr, err), TY_ERR_INVALID_ARGUMENT);
    return err.message();
  };
  EXPECT_EQ(fit([](auto...) -> ty_status { return TY_OK; }),
            "next_batch answered TY_OK without inputs and targets in epoch 1, step 1");
  EXPECT_NE(fit([](auto...) -> ty_status { return TY_END; }).find("gave no batch to learn from in epoch 1"),
            std::string::npos)
      << err.message();
  static const Array<float> wide({kBatch, 7}, Floats(kBatch * 7));
  EXPECT_NE(fit([](ty_fit_phase, int64_t, int64_t, const DLTensor **inputs, const DLTensor **targets, void *) {
              *inputs = *targets = wide.tensor();
              return ty_status{TY_OK};
            }).find("epoch 1, step 1: samples of shape [7] do not go through"),
            std::string::npos)
      << err.message();
}

TEST_F(TrainerFitTest, ALossThatIsNoNumberFailsOrIsLeftOut) {
  static const Array<float> bad({kBatch, kInputs}, Floats(kBatch * kInputs, std::numeric_limits<float>::quiet_NaN()));
  static const Array<float> good = Inputs(0), sums = Sums(0);
  const auto next = [](ty_fit_phase phase, int64_t epoch, int64_t step, const DLTensor **inputs,
                       const DLTensor **targets, void *user) -> ty_status {
    if (step > 4 || phase == TY_FIT_VALIDATION) return TY_END;
    const bool all = user != nullptr;
    *inputs = (epoch == 2 && (all || step == 3) ? bad : good).tensor();
    *targets = sums.tensor();
    return TY_OK;
  };
  const Trainer fails = New(Settings(R"("epochs":2)"));
  EXPECT_EQ(ty_trainer_fit(fails, next, nullptr, nullptr, nullptr, nullptr, err), TY_ERR_ENGINE);
  EXPECT_NE(err.message().find("the loss is NaN in epoch 2, step 3"), std::string::npos) << err.message();
  EXPECT_EQ(err.detail("code"), "nan_loss");

  const Trainer skips = New(Settings(R"("epochs":2,"nan_policy":"skip")"));
  const ty_fit_summary *summary = nullptr;
  ASSERT_OK(ty_trainer_fit(
      skips, next,
      [](const ty_fit_epoch *epoch, void *) {
        EXPECT_EQ(epoch->skipped_steps, epoch->epoch == 2 ? 1 : 0);
        EXPECT_EQ(epoch->steps, 4);
        EXPECT_TRUE(std::isfinite(epoch->train_loss));
        return ty_status{TY_OK};
      },
      nullptr, nullptr, &summary, err));
  EXPECT_EQ(summary->skipped_steps, 1);
  EXPECT_EQ(summary->steps, 8);

  int all = 0;
  const Trainer nothing_left = New(Settings(R"("epochs":2,"nan_policy":"skip")"));
  EXPECT_EQ(ty_trainer_fit(nothing_left, next, nullptr, &all, nullptr, nullptr, err), TY_ERR_ENGINE);
  EXPECT_NE(err.message().find("as in every step of this epoch"), std::string::npos) << err.message();
}

TEST_F(TrainerFitTest, SettingsThatAFitCannotKeepAreRefusedBeforeItBegins) {
  Host host;
  const Trainer rollback = New(Settings(R"("nan_policy":"rollback")"));
  EXPECT_EQ(host.Fit(rollback, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("'train.nan_policy'"), std::string::npos) << err.message();
  std::string json = Settings(R"("epochs":2)");
  const std::string constant = R"("name":"constant")";
  json.replace(json.find(constant), constant.size(), constant + R"(,"warmup_steps":8)");
  const Trainer warm_up = New(json);
  EXPECT_EQ(host.Fit(warm_up, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("'train.steps_per_epoch'"), std::string::npos) << err.message();
  EXPECT_TRUE(host.asked.empty());
  EXPECT_EQ(host.destroyed, 2);
}

}  // namespace
}  // namespace trainyard_test
