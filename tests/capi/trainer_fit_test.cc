// train.h's trainer over epochs, with data from a callback: what is learnt, told and kept.
#include "capi/trainer_fit_fixture.h"

namespace trainyard_test {
namespace {

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

}  // namespace
}  // namespace trainyard_test
