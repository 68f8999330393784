// train.h's trainer over epochs, with data from a callback.
#include <atomic>
#include <csignal>
#include <limits>
#include <map>
#include <optional>

#include "capi/trainer_fixture.h"

namespace trainyard_test {
namespace {

using Floats = std::vector<float>;

// A host program's side of a fit: batches that depend on epoch and step alone, validation batches that are harder in
// some epochs, and a record of what it was asked and told.
class Host {
 public:
  int64_t steps = 4, validation_batches = 2;
  std::map<int64_t, float> validation_scale;  // of the targets, by epoch; else 1
  // Answer before all else.
  std::function<ty_status(ty_fit_phase, int64_t, int64_t)> before = [](auto...) { return TY_OK; };
  std::function<ty_status(const ty_fit_epoch &)> after_epoch = [](const auto &) { return TY_OK; };

  std::vector<std::string> asked;  // "train 1.1", ...
  std::vector<ty_fit_epoch> epochs;
  const ty_fit_summary *summary = nullptr;
  int destroyed = 0;

  ty_status Fit(const Trainer &trainer, ty_error **err) {
    return ty_trainer_fit(
        trainer, &NextBatch, &OnEpoch, this, [](void *user) { ++static_cast<Host *>(user)->destroyed; }, &summary, err);
  }

 private:
  static ty_status NextBatch(ty_fit_phase phase, int64_t epoch, int64_t step, const DLTensor **out_inputs,
                             const DLTensor **out_targets, void *user) {
    auto *self = static_cast<Host *>(user);
    const bool train = phase == TY_FIT_TRAIN;
    self->asked.push_back((train ? "train " : "validate ") + std::to_string(epoch) + "." + std::to_string(step));
    if (const ty_status answer = self->before(phase, epoch, step); answer != TY_OK) return answer;
    if (step > (train ? self->steps : self->validation_batches)) return TY_END;
    const int64_t number = train ? 100 * epoch + step : 100000 + step;
    self->inputs_ = Inputs(number);
    Array<float> sums = Sums(number);
    const auto scale = self->validation_scale.find(epoch);
    if (!train && scale != self->validation_scale.end()) {
      Floats values(static_cast<const float *>(sums.tensor()->data),
                    static_cast<const float *>(sums.tensor()->data) + kBatch);
      for (float &value : values) value *= scale->second;
      sums = Array<float>({kBatch, 1}, values);
    }
    self->targets_ = std::move(sums);
    *out_inputs = self->inputs_.tensor();
    *out_targets = self->targets_.tensor();
    return TY_OK;
  }

  static ty_status OnEpoch(const ty_fit_epoch *epoch, void *user) {
    auto *self = static_cast<Host *>(user);
    self->epochs.push_back(*epoch);
    return self->after_epoch(*epoch);
  }

  Array<float> inputs_ = Inputs(0), targets_ = Sums(0);
};

class TrainerFitTest : public TrainerTest {
 protected:
  // kMlp with more settings.
  static std::string Settings(const std::string &train, const std::string &more = "") {
    std::string json = kMlp;
    json.pop_back();
    return json + R"(,"train":{)" + train + "}" + more + "}";
  }
  static Floats Answers(const Trainer &trainer) {
    Err err;
    Floats outputs(kBatch);
    EXPECT_OK(ty_trainer_predict(trainer, Inputs(7).tensor(), outputs.data(), outputs.size(), err));
    return outputs;
  }
};

TEST_F(TrainerFitTest, DoesWhatALoopOfStepsDoes) {
  const std::string json =
      R"({"model":{"architecture":"sequential","inputs":6,"layers":"[{\"type\":\"linear\",\"out\":16},{\"type\":\"batch_norm\"},{\"type\":\"relu\"},{\"type\":\"dropout\",\"p\":0.2},{\"type\":\"linear\",\"out\":1}]"},
          "loss":{"name":"mse"},"optimizer":{"lr":0.05},"schedule":{"name":"exponential","gamma":0.5},"threads":1,"train":{"epochs":3}})";
  const Trainer by_hand = New(json), trainer = New(json);
  Host host;
  Floats last;
  host.after_epoch = [&](const ty_fit_epoch &) {
    last = Answers(trainer);
    return TY_OK;
  };
  ASSERT_OK(host.Fit(trainer, err));
  ASSERT_EQ(host.epochs.size(), 3U);
  for (int64_t epoch = 1; epoch <= 3; ++epoch) {
    double train = 0, validation = 0, loss = 0;
    for (int64_t step = 1; step <= 4; ++step) {
      ASSERT_OK(
          ty_trainer_step(by_hand, Inputs(100 * epoch + step).tensor(), Sums(100 * epoch + step).tensor(), &loss, err));
      train += loss / 4;
    }
    for (int64_t step = 1; step <= 2; ++step) {
      ASSERT_OK(ty_trainer_evaluate(by_hand, Inputs(100000 + step).tensor(), Sums(100000 + step).tensor(), &loss,
                                    nullptr, err));
      validation += loss / 2;
    }
    ASSERT_OK(ty_trainer_end_epoch(by_hand, validation, err));
    const ty_fit_epoch &told = host.epochs[static_cast<size_t>(epoch - 1)];
    EXPECT_EQ(told.struct_size, sizeof told);
    EXPECT_EQ(told.epoch, epoch);
    EXPECT_EQ(told.epochs, 3);
    EXPECT_EQ(told.steps, 4);
    EXPECT_DOUBLE_EQ(told.train_loss, train);
    EXPECT_DOUBLE_EQ(told.validation_loss, validation);
    EXPECT_TRUE(std::isnan(told.train_accuracy) && std::isnan(told.validation_accuracy)) << "numbers are learnt";
    EXPECT_DOUBLE_EQ(told.learning_rate, 0.05 * std::pow(0.5, static_cast<double>(epoch - 1)));
  }
  EXPECT_EQ(last, Answers(by_hand));
  EXPECT_EQ(host.summary->struct_size, sizeof *host.summary);
  EXPECT_EQ(host.summary->ending, TY_FIT_DONE);
  EXPECT_EQ(host.summary->epochs, 3);
  EXPECT_EQ(host.summary->steps, 12);
  EXPECT_EQ(host.destroyed, 1);
}

TEST_F(TrainerFitTest, AsksForTrainingThenValidationOfEachEpoch) {
  const Trainer trainer = New(Settings(R"("epochs":2)"));
  Host host;
  host.steps = 2;
  host.validation_batches = 1;
  ASSERT_OK(host.Fit(trainer, err));
  EXPECT_EQ(host.asked,
            (std::vector<std::string>{"train 1.1", "train 1.2", "train 1.3", "validate 1.1", "validate 1.2",
                                      "train 2.1", "train 2.2", "train 2.3", "validate 2.1", "validate 2.2"}));
}

TEST_F(TrainerFitTest, CountsRightAnswersOfClasses) {
  const Trainer trainer = New(
      R"({"model":{"architecture":"mlp","inputs":6,"hidden":[16],"outputs":2},"optimizer":{"lr":0.05},"threads":1,"train":{"epochs":30}})");
  struct Classes {
    Array<float> inputs = Inputs(0);
    Array<int64_t> labels{{kBatch}, std::vector<int64_t>(kBatch)};
    std::vector<ty_fit_epoch> epochs;
  } host;
  const auto next = [](ty_fit_phase phase, int64_t, int64_t step, const DLTensor **inputs, const DLTensor **targets,
                       void *user) -> ty_status {
    if (step > 3) return TY_END;
    auto *classes = static_cast<Classes *>(user);
    const int64_t number = step + (phase == TY_FIT_TRAIN ? 0 : 1);
    classes->inputs = Inputs(number);
    const Array<float> sums = Sums(number);
    std::vector<int64_t> labels;
    for (size_t i = 0; i < kBatch; ++i) labels.push_back(static_cast<const float *>(sums.tensor()->data)[i] > 0);
    classes->labels = Array<int64_t>({kBatch}, labels);
    *inputs = classes->inputs.tensor();
    *targets = classes->labels.tensor();
    return TY_OK;
  };
  const auto on_epoch = [](const ty_fit_epoch *epoch, void *user) -> ty_status {
    static_cast<Classes *>(user)->epochs.push_back(*epoch);
    return TY_OK;
  };
  ASSERT_OK(ty_trainer_fit(trainer, next, on_epoch, &host, nullptr, nullptr, err));
  ASSERT_EQ(host.epochs.size(), 30U);
  for (const ty_fit_epoch &epoch : host.epochs) {
    const double right = epoch.train_accuracy * 3 * kBatch;
    EXPECT_NEAR(right, std::round(right), 1e-9);
  }
  EXPECT_GT(host.epochs.back().train_accuracy, 0.9);
  EXPECT_GT(host.epochs.back().validation_accuracy, 0.8);
}

TEST_F(TrainerFitTest, EndsWithTheWeightsOfTheBestEpoch) {
  for (const char *decay : {"0", "0.5"}) {
    SCOPED_TRACE(std::string("train.ema_decay ") + decay);
    const Trainer trainer = New(Settings(R"("epochs":5,"ema_decay":)" + std::string(decay)));
    Host host;
    host.validation_scale = {{1, -4}, {2, -2}, {4, -2}, {5, -2}};
    std::map<int64_t, Floats> answers;
    host.after_epoch = [&](const ty_fit_epoch &epoch) {
      answers[epoch.epoch] = Answers(trainer);
      return TY_OK;
    };
    ASSERT_OK(host.Fit(trainer, err));
    EXPECT_EQ(host.summary->best_epoch, 3);
    EXPECT_EQ(host.summary->best_validation_loss, host.epochs[2].validation_loss);
    for (const ty_fit_epoch &epoch : host.epochs) EXPECT_EQ(epoch.is_best, epoch.epoch <= 3);
    EXPECT_NE(answers[3], answers[5]);
    EXPECT_EQ(Answers(trainer), answers[3]);
    const std::string path = directory / "weights.safetensors";
    ASSERT_OK(ty_trainer_save_weights(trainer, path.c_str(), err));
    EXPECT_EQ(Answers(New(kMlp, path.c_str())), answers[3]);
  }
}

TEST_F(TrainerFitTest, WithoutValidationTheLastEpochStays) {
  const Trainer trainer = New(Settings(R"("epochs":3)"));
  Host host;
  host.validation_batches = 0;
  Floats last;
  host.after_epoch = [&](const ty_fit_epoch &epoch) {
    EXPECT_EQ(epoch.is_best, 1);
    EXPECT_TRUE(std::isnan(epoch.validation_loss) && std::isnan(epoch.validation_accuracy));
    last = Answers(trainer);
    return TY_OK;
  };
  ASSERT_OK(host.Fit(trainer, err));
  EXPECT_EQ(host.summary->best_epoch, 0);
  EXPECT_TRUE(std::isnan(host.summary->best_validation_loss));
  EXPECT_EQ(Answers(trainer), last);
}

TEST_F(TrainerFitTest, AnEpochMayBeLeftUnvalidated) {
  const Trainer trainer = New(Settings(R"("epochs":4)"));
  Host host;
  host.before = [](ty_fit_phase phase, int64_t epoch, int64_t) {
    return phase == TY_FIT_VALIDATION && epoch % 2 == 1 ? TY_END : TY_OK;
  };
  host.validation_scale = {{4, -2}};
  Floats second;
  host.after_epoch = [&](const ty_fit_epoch &epoch) {
    if (epoch.epoch == 2) second = Answers(trainer);
    return TY_OK;
  };
  ASSERT_OK(host.Fit(trainer, err));
  EXPECT_EQ(host.summary->best_epoch, 2);
  EXPECT_EQ(host.epochs[2].is_best, 0);
  EXPECT_EQ(Answers(trainer), second);
}

TEST_F(TrainerFitTest, StopsEarlyAndThenBeginsAnew) {
  const Trainer trainer = New(Settings(R"("epochs":9,"early_stop_epochs":2)"));
  Host host;
  host.validation_scale = {{3, -1}, {4, -1}};
  ASSERT_OK(host.Fit(trainer, err));
  EXPECT_EQ(host.summary->ending, TY_FIT_EARLY_STOP);
  EXPECT_EQ(host.summary->epochs, 4);
  EXPECT_EQ(host.summary->best_epoch, 2);
  const Floats best = Answers(trainer);

  Host second;
  second.before = [&](ty_fit_phase, int64_t, int64_t) {
    if (second.asked.size() == 1) {
      EXPECT_EQ(Answers(trainer), best) << "it learns on from the best";
    }
    return TY_OK;
  };
  ASSERT_OK(second.Fit(trainer, err));
  EXPECT_EQ(second.asked.front(), "train 1.1");
  EXPECT_EQ(second.epochs.front().is_best, 1) << "what was best is forgotten";
  EXPECT_EQ(second.summary->epochs, static_cast<int64_t>(second.epochs.size()));
}

TEST_F(TrainerFitTest, APlateauSeesTheValidationLoss) {
  const Trainer trainer = New(
      R"({"model":{"architecture":"mlp","inputs":6},"loss":{"name":"mse"},"optimizer":{"lr":0.01},
          "schedule":{"name":"plateau","patience":0,"gamma":0.1},"threads":1,"train":{"epochs":4}})");
  Host host;
  host.validation_scale = {{2, -2}, {3, -3}};
  ASSERT_OK(host.Fit(trainer, err));
  std::vector<double> rates;
  for (const ty_fit_epoch &epoch : host.epochs) rates.push_back(epoch.learning_rate);
  ASSERT_EQ(rates.size(), 4U);
  EXPECT_EQ(rates[1], 0.01);
  EXPECT_DOUBLE_EQ(rates[2], 0.001);
  EXPECT_DOUBLE_EQ(rates[3], 0.0001);
}

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
