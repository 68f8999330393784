// train.h's trainer: models that learn from this process's memory, step by step.
#include <cmath>
#include <limits>

#include "capi/trainer_fixture.h"

namespace trainyard_test {
namespace {

TEST_F(TrainerTest, LearnsAFunctionAndPredictsIt) {
  const Trainer trainer = New(kMlp);
  const double first = Learn(trainer, 0, 1);
  const double last = Learn(trainer, 1, 300);
  EXPECT_LT(last, first / 100);
  double loss = 0, accuracy = 0;
  ASSERT_OK(ty_trainer_evaluate(trainer, Inputs(7).tensor(), Sums(7).tensor(), &loss, &accuracy, err));
  EXPECT_LT(loss, first / 20);
  EXPECT_TRUE(std::isnan(accuracy));
  std::vector<float> outputs(kBatch);
  ASSERT_OK(ty_trainer_predict(trainer, Inputs(7).tensor(), outputs.data(), outputs.size(), err));
  double squares = 0;
  const Array<float> sums = Sums(7);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const double difference = outputs[i] - static_cast<const float *>(sums.tensor()->data)[i];
    squares += difference * difference;
  }
  EXPECT_NEAR(squares / kBatch, loss, 1e-6) << "what is predicted is what was evaluated";
  EXPECT_EQ(ty_trainer_predict(trainer, Inputs(7).tensor(), outputs.data(), outputs.size() - 1, err),
            TY_ERR_INVALID_ARGUMENT);
}

TEST_F(TrainerTest, LearnsClassesFromLayersThatAreListed) {
  const Trainer trainer = New(
      R"({"model":{"architecture":"sequential","inputs":6,"layers":"[{\"type\":\"linear\",\"out\":32},{\"type\":\"batch_norm\"},{\"type\":\"relu\"},{\"type\":\"dropout\",\"p\":0.1},{\"type\":\"linear\",\"out\":2}]"},
          "optimizer":{"lr":0.1},"schedule":{"name":"constant"},"threads":1})");
  const auto classes = [](int step) {
    const Array<float> sums = Sums(step);
    std::vector<int64_t> labels(kBatch);
    for (size_t i = 0; i < kBatch; ++i) labels[i] = static_cast<const float *>(sums.tensor()->data)[i] > 0 ? 1 : 0;
    return Array<int64_t>({kBatch}, labels);
  };
  for (int step = 0; step < 200; ++step) {
    ASSERT_OK(ty_trainer_step(trainer, Inputs(step).tensor(), classes(step).tensor(), nullptr, err));
  }
  const Array<int64_t> unknown({kBatch}, std::vector<int64_t>(kBatch, 2));
  EXPECT_EQ(ty_trainer_step(trainer, Inputs(0).tensor(), unknown.tensor(), nullptr, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(err.message(), "the targets go from 2 to 2, and the model's classes from 0 to 1");
  double accuracy = 0;
  ASSERT_OK(ty_trainer_evaluate(trainer, Inputs(500).tensor(), classes(500).tensor(), nullptr, &accuracy, err));
  EXPECT_GE(accuracy, 0.9);
}

TEST_F(TrainerTest, GoesOnBitByBitFromWhatItSaved) {
  const std::string path = directory / "trainer.safetensors";
  const Trainer whole = New(kMlp);
  Learn(whole, 0, 10);
  ASSERT_OK(ty_trainer_end_epoch(whole, std::numeric_limits<double>::quiet_NaN(), err));
  ASSERT_OK(ty_trainer_save(whole, path.c_str(), err));
  const double expected = Learn(whole, 10, 20);
  const Trainer resumed = New(kMlp);
  ASSERT_OK(ty_trainer_load(resumed, path.c_str(), err));
  EXPECT_EQ(Learn(resumed, 10, 20), expected);
  const Trainer other = New(R"({"model":{"architecture":"mlp","inputs":6},"loss":{"name":"mse"}})");
  EXPECT_EQ(ty_trainer_load(other, path.c_str(), err), TY_ERR_INVALID_STATE) << err.message();
  WriteAll(path, ReadAll(path).substr(0, 500));
  EXPECT_EQ(ty_trainer_load(resumed, path.c_str(), err), TY_ERR_CORRUPT) << err.message();
  EXPECT_EQ(ty_trainer_load(resumed, (directory / "none").c_str(), err), TY_ERR_NOT_FOUND) << err.message();
}

TEST_F(TrainerTest, WeightsTravelBetweenTrainers) {
  const Trainer first = New(kMlp);
  Learn(first, 0, 50);
  const std::string path = directory / "weights.safetensors";
  ASSERT_OK(ty_trainer_save_weights(first, path.c_str(), err));
  const Trainer second = New(kMlp, path.c_str());
  std::vector<float> one(kBatch), two(kBatch);
  ASSERT_OK(ty_trainer_predict(first, Inputs(3).tensor(), one.data(), one.size(), err));
  ASSERT_OK(ty_trainer_predict(second, Inputs(3).tensor(), two.data(), two.size(), err));
  EXPECT_EQ(one, two);
}

TEST_F(TrainerTest, SeveralLearnAtOnceFromAnyThread) {
  const Trainer alone = New(kMlp);
  const double expected = Learn(alone, 0, 50);
  std::vector<double> losses(4);
  std::vector<std::thread> threads;
  for (double &loss : losses) {
    threads.emplace_back([&loss] {
      const Trainer trainer = New(kMlp);
      loss = Learn(trainer, 0, 50);
    });
  }
  for (std::thread &thread : threads) thread.join();
  for (const double loss : losses) EXPECT_EQ(loss, expected);
}

TEST_F(TrainerTest, WhatDoesNotFitIsSaid) {
  const Trainer trainer = New(kMlp);
  const Array<float> wide({kBatch, 7}, std::vector<float>(kBatch * 7));
  EXPECT_EQ(ty_trainer_step(trainer, wide.tensor(), Sums(0).tensor(), nullptr, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("samples of shape [7] do not go through the model 'mlp': "), std::string::npos)
      << err.message();
  const Array<float> flat({kBatch}, std::vector<float>(kBatch));
  EXPECT_EQ(ty_trainer_step(trainer, Inputs(0).tensor(), flat.tensor(), nullptr, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("[16] and the model's outputs Float [16, 1]"), std::string::npos) << err.message();
  EXPECT_EQ(ty_trainer_step(trainer, flat.tensor(), flat.tensor(), nullptr, err), TY_ERR_INVALID_ARGUMENT);
  const Array<float> none({0, kInputs}, {});
  EXPECT_EQ(ty_trainer_step(trainer, none.tensor(), none.tensor(), nullptr, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_OK(ty_trainer_step(trainer, Inputs(0).tensor(), Sums(0).tensor(), nullptr, err));

  const auto refused = [&](const char *json) {
    Config config;
    EXPECT_OK(ty_train_config_from_json(json, config.out(), err));
    Trainer none_made;
    EXPECT_EQ(ty_trainer_new(config, nullptr, none_made.out(), err), TY_ERR_INVALID_ARGUMENT) << json;
    return err.message();
  };
  EXPECT_NE(refused(R"({"model":{"architecture":"mlp"}})").find("model.inputs"), std::string::npos);
  EXPECT_NE(refused(R"({"model":{"architecture":"sequential","inputs":3,"layers":"[{\"type\":\"liner\"}]"}})")
                .find("layer 0 of model.layers: there is no type 'liner', did you mean 'linear'?"),
            std::string::npos)
      << err.message();
  EXPECT_NE(refused(R"({"model":{"architecture":"mlp","inputs":3},"schedule":{"name":"onecycle"}})")
                .find("train.steps_per_epoch"),
            std::string::npos);
  EXPECT_NE(refused(R"({"model":{"architecture":"mlp","inputs":3},"loss":{"class_weights":"balanced"}})")
                .find("must be numbers here"),
            std::string::npos);
  EXPECT_NE(refused(R"({"model":{"architecture":"sequential","inputs":3,"layers":"[{\"type\":\"relu\"}]"}})")
                .find("last layer"),
            std::string::npos);
}

}  // namespace
}  // namespace trainyard_test
