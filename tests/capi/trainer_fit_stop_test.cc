// A fit that is stopped, and goes on.
#include <csignal>
#include <optional>

#include "capi/trainer_fit_fixture.h"

namespace trainyard_test {
namespace {

// A stop from any side ends it after the step at hand; the next fit is what there would have been without.
TEST_F(TrainerFitTest, StopsOnRequestAndGoesOnAsIfNothingHadHappened) {
  const std::string json = Settings(R"("epochs":4,"ema_decay":0.9)");
  const auto prepared = [] {
    Host host;
    host.validation_scale = {{1, 1}, {2, -1}, {4, -1}};
    return host;
  };
  const Trainer whole = New(json);
  Host undisturbed = prepared();
  ASSERT_OK(undisturbed.Fit(whole, err));
  ASSERT_EQ(undisturbed.summary->best_epoch, 3);

  const Trainer trainer = New(json);
  Host host = prepared();
  Floats first;
  host.after_epoch = [&](const ty_fit_epoch &epoch) {
    if (epoch.epoch == 1) first = Answers(trainer);
    return TY_OK;
  };
  std::optional<std::string> stop_at = "train 2.3";
  host.before = [&](ty_fit_phase, int64_t, int64_t) {
    if (host.asked.back() == stop_at) {
      stop_at.reset();
      std::thread([&] { ty_trainer_request_stop(trainer, nullptr); }).join();
    }
    return TY_OK;
  };
  ASSERT_OK(host.Fit(trainer, err));
  EXPECT_EQ(host.summary->ending, TY_FIT_STOPPED);
  EXPECT_EQ(host.summary->epochs, 1);
  EXPECT_EQ(host.summary->steps, 7);
  EXPECT_EQ(host.asked.back(), "train 2.3") << "the step at hand is done, and nothing more asked for";
  EXPECT_EQ(Answers(trainer), first) << "the best epoch's";

  stop_at = "validate 2.1";  // an epoch that is not validated whole is not done
  ASSERT_OK(host.Fit(trainer, err));
  EXPECT_EQ(host.summary->ending, TY_FIT_STOPPED);
  EXPECT_EQ(host.summary->steps, 1);
  EXPECT_EQ(host.epochs.size(), 1U);

  host.after_epoch = [](const ty_fit_epoch &epoch) { return epoch.epoch == 2 ? TY_END : TY_OK; };
  ASSERT_OK(host.Fit(trainer, err));
  EXPECT_EQ(host.summary->ending, TY_FIT_STOPPED);
  EXPECT_EQ(host.summary->epochs, 2);

  ASSERT_OK(host.Fit(trainer, err));
  EXPECT_EQ(host.summary->ending, TY_FIT_DONE);
  EXPECT_EQ(host.summary->best_epoch, 3);
  ASSERT_EQ(host.epochs.size(), undisturbed.epochs.size());
  for (size_t i = 0; i < host.epochs.size(); ++i) {
    EXPECT_EQ(host.epochs[i].train_loss, undisturbed.epochs[i].train_loss);
    EXPECT_EQ(host.epochs[i].validation_loss, undisturbed.epochs[i].validation_loss);
  }
  EXPECT_EQ(Answers(trainer), Answers(whole));
}

TEST_F(TrainerFitTest, ARequestBeforeAFitEndsThatOne) {
  const Trainer trainer = New(Settings(R"("epochs":2)"));
  ASSERT_OK(ty_trainer_request_stop(trainer, err));
  Host host;
  ASSERT_OK(host.Fit(trainer, err));
  EXPECT_EQ(host.summary->ending, TY_FIT_STOPPED);
  EXPECT_EQ(host.summary->steps, 0);
  EXPECT_TRUE(host.asked.empty());
  ASSERT_OK(host.Fit(trainer, err));
  EXPECT_EQ(host.summary->ending, TY_FIT_DONE) << "the request has gone with the fit that it ended";
}

ty_trainer *stopped_by_signal = nullptr;

TEST_F(TrainerFitTest, ASignalHandlerMayAskToStop) {
  const Trainer trainer = New(Settings(R"("epochs":2)"));
  stopped_by_signal = trainer;
  const auto before = std::signal(SIGUSR1, [](int) { ty_trainer_request_stop(stopped_by_signal, nullptr); });
  Host host;
  host.before = [&](ty_fit_phase, int64_t, int64_t step) {
    if (step == 2) std::raise(SIGUSR1);
    return TY_OK;
  };
  ASSERT_OK(host.Fit(trainer, err));
  std::signal(SIGUSR1, before);
  EXPECT_EQ(host.summary->ending, TY_FIT_STOPPED);
  EXPECT_EQ(host.summary->steps, 2);
}

// A callback that waited for data ends the phase when it is woken to stop.
TEST_F(TrainerFitTest, APhaseThatEndsForAStopIsNoEpoch) {
  const Trainer trainer = New(Settings(R"("epochs":2)"));
  Host host;
  host.before = [&](ty_fit_phase, int64_t, int64_t) {
    ty_trainer_request_stop(trainer, nullptr);
    return TY_END;
  };
  ASSERT_OK(host.Fit(trainer, err));
  EXPECT_EQ(host.summary->ending, TY_FIT_STOPPED);
  EXPECT_TRUE(host.epochs.empty());
  EXPECT_EQ(host.asked.size(), 1U);
}

// From checkpoints that callbacks wrote, after an epoch and in the middle of one, in another trainer.
TEST_F(TrainerFitTest, GoesOnFromACheckpointWithTheBestSoFar) {
  for (const char *decay : {"0", "0.9"}) {
    SCOPED_TRACE(std::string("train.ema_decay ") + decay);
    const std::string json = Settings(R"("epochs":4,"ema_decay":)" + std::string(decay));
    const std::string after = directory / "after.safetensors", middle = directory / "middle.safetensors",
                      end = directory / "end.safetensors";
    const auto prepared = [] {
      Host host;
      host.validation_scale = {{2, -1}, {3, -1}, {4, -1}};
      return host;
    };
    const Trainer whole = New(json);
    Host host = prepared();
    host.after_epoch = [&](const ty_fit_epoch &epoch) {
      if (epoch.epoch == 2) {
        EXPECT_OK(ty_trainer_save(whole, after.c_str(), err));
      }
      return TY_OK;
    };
    host.before = [&](ty_fit_phase, int64_t, int64_t) {
      if (host.asked.back() == "train 3.3") {
        EXPECT_OK(ty_trainer_save(whole, middle.c_str(), err));
      }
      if (host.asked.back() == "train 4.2") ty_trainer_request_stop(whole, nullptr);
      return TY_OK;
    };
    ASSERT_OK(host.Fit(whole, err));
    // The best weights are in the trainer, but this is where training stands.
    ASSERT_OK(ty_trainer_save(whole, end.c_str(), err));
    ASSERT_OK(host.Fit(whole, err));
    ASSERT_EQ(host.summary->ending, TY_FIT_DONE);
    EXPECT_EQ(host.summary->best_epoch, 1);

    const std::pair<std::string, std::string> cases[] = {
        {after, "train 3.1"}, {middle, "train 3.3"}, {end, "train 4.3"}};
    for (const auto &[path, first] : cases) {
      SCOPED_TRACE(path);
      const Trainer resumed = New(json);
      ASSERT_OK(ty_trainer_load(resumed, path.c_str(), err));
      EXPECT_EQ(Answers(resumed), Answers(whole)) << "the best epoch's, as after a fit that was stopped there";
      Host second = prepared();
      ASSERT_OK(second.Fit(resumed, err));
      EXPECT_EQ(second.asked.front(), first);
      EXPECT_EQ(second.summary->ending, TY_FIT_DONE);
      EXPECT_EQ(second.summary->best_epoch, 1);
      EXPECT_EQ(second.summary->best_validation_loss, host.summary->best_validation_loss);
      EXPECT_EQ(second.epochs.back().train_loss, host.epochs.back().train_loss);
      EXPECT_EQ(second.epochs.back().validation_loss, host.epochs.back().validation_loss);
      EXPECT_EQ(Answers(resumed), Answers(whole)) << "the best epoch's";
    }
  }
}

TEST_F(TrainerFitTest, AStepAfterwardsLearnsOnFromTheBest) {
  const Trainer trainer = New(Settings(R"("epochs":2)"));
  Host host;
  host.validation_scale = {{2, -1}};
  ASSERT_OK(host.Fit(trainer, err));
  double of_best = 0, of_step = 0;
  ASSERT_OK(ty_trainer_evaluate(trainer, Inputs(5).tensor(), Sums(5).tensor(), &of_best, nullptr, err));
  ASSERT_OK(ty_trainer_step(trainer, Inputs(5).tensor(), Sums(5).tensor(), &of_step, err));
  EXPECT_EQ(of_step, of_best);
  const Floats now = Answers(trainer);
  const std::string path = directory / "checkpoint.safetensors";
  ASSERT_OK(ty_trainer_save(trainer, path.c_str(), err));
  const Trainer other = New(Settings(R"("epochs":2)"));
  ASSERT_OK(ty_trainer_load(other, path.c_str(), err));
  EXPECT_EQ(Answers(other), now) << "what was kept beside the best is gone";
}

}  // namespace
}  // namespace trainyard_test
