// Training jobs from end to end, on small images and through the plug-in's seam: what is learnt, kept, told and
// stopped (checkpoints_test.cc has what is resumed).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine_torch/train/engine_fixture.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

TEST_F(EngineTest, FinetuningLearnsAndTellsWhatHappens) {
  const TrainRun run = Run("a", Changed(Config(data_), {{"train.epochs", 6},
                                                        {"model.architecture", "resnet18"},
                                                        {"optimizer.lr", 0.003},
                                                        {"checkpoint.every_epochs", 0}}));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  const auto &loss = run.metrics.at("train/loss");
  ASSERT_EQ(loss.size(), 6u);
  EXPECT_LT(loss.at(6), loss.at(1) * 0.8);
  for (const char *name :
       {"train/accuracy", "val/loss", "val/accuracy", "learning_rate", "epoch_seconds", "images_per_second"}) {
    EXPECT_EQ(run.metrics.at(name).size(), 6u) << name;
  }
  EXPECT_EQ(run.metrics.at("train/loss_step").size(), 9u);  // 3 steps an epoch, every second one
  EXPECT_DOUBLE_EQ(run.metrics.at("learning_rate").at(1), 0.003);
  double best = 0;
  for (const auto &[epoch, accuracy] : run.metrics.at("val/accuracy")) best = std::max(best, accuracy);
  EXPECT_DOUBLE_EQ(run.metrics.at("best_val_accuracy").at(6), best);

  ASSERT_GE(run.progress.size(), 6u);
  const Json &last = run.progress.back();
  EXPECT_EQ(last.GetInt64("epoch"), 6);
  EXPECT_EQ(last.GetInt64("epochs"), 6);
  EXPECT_EQ(last.GetString("phase"), "val");
  EXPECT_EQ(last.GetInt64("time_left_ms"), 0);
}

TEST_F(EngineTest, OutputsDescribeTheModelAndHoldTheBestEpoch) {
  const TrainRun run = Run("a", Changed(Config(data_), {{"train.epochs", 4}}));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  const Json json = Json::Parse(ReadFile(JoinPath(At("a"), "model.json")), "model.json");
  EXPECT_EQ(json.GetInt64("schema_version"), 1);
  EXPECT_EQ(json.GetString("architecture"), "squeezenet1_1");
  EXPECT_EQ(json.GetStringList("classes"), (std::vector<std::string>{"blue", "green", "red"}));
  EXPECT_EQ(json.Get("preprocessing").GetInt64("crop"), 64);
  EXPECT_EQ(json.Get("preprocessing").Get("mean").AsDoubleList(), (std::vector<double>{0.485, 0.456, 0.406}));
  const auto best_epoch = static_cast<int64_t>(run.metrics.at("best_epoch").at(4));
  EXPECT_EQ(json.Get("trained").GetInt64("best_epoch"), best_epoch);
  EXPECT_FALSE(json.Get("trained").GetBool("stopped"));

  // The weights are those of the best epoch: a run that ends with it writes the same file.
  const TrainRun shorter = Run("b", Changed(Config(data_), {{"train.epochs", best_epoch}}));
  ASSERT_TRUE(shorter.answer.ok());
  EXPECT_TRUE(ModelBytes("a") == ModelBytes("b"));
}

TEST_F(EngineTest, LeavesAReportForPeople) {
  const Json config = Changed(Config(data_), {{"train.epochs", 2}, {"optimizer.lr", 0.0001}});
  const TrainRun run = Run("a", config);
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  const auto has = [](const std::string &report, const std::string &part) {
    return report.find(part) != std::string::npos;
  };
  const std::string report = ReadFile(JoinPath(At("a"), "report.html"));
  for (const char *part : {"squeezenet1_1 on images", "Completed", "<svg", "Worst mistakes", "data:image/jpeg;base64,",
                           "optimizer", "0.0001", "LibTorch"}) {
    EXPECT_TRUE(has(report, part)) << part;
  }
  // The numbers of the best epoch are those that it was chosen by.
  const double accuracy = run.metrics.at("best_val_accuracy").at(2);
  EXPECT_DOUBLE_EQ(run.metrics.at("val/balanced_accuracy").at(2), accuracy) << "two images of each class";
  EXPECT_DOUBLE_EQ(run.metrics.at("val/recall_macro").at(2), accuracy);
  EXPECT_EQ(run.metrics.count("val/top3_accuracy"), 0u) << "there are but three classes";

  // Resumed: earlier epochs are in it, and the best one is evaluated again when it was among them.
  const TrainRun second = Run("a", Changed(config, {{"train.epochs", 3}, {"optimizer.lr", 0.0}}));
  ASSERT_TRUE(second.answer.ok()) << second.answer.message;
  EXPECT_DOUBLE_EQ(second.metrics.at("val/recall_macro").at(3), second.metrics.at("best_val_accuracy").at(3));
  EXPECT_GT(ReadFile(JoinPath(At("a"), "report.html")).size(), report.size());

  // What went wrong is in it, too; who leaves to go on later has nothing to tell.
  ASSERT_FALSE(Run("b", Changed(config, {{"optimizer.lr", 1e30}})).answer.ok());
  const std::string failed = ReadFile(JoinPath(At("b"), "report.html"));
  EXPECT_TRUE(has(failed, "Failed") && has(failed, "optimizer.lr"));
  TrainRun left;
  left.leave = [] { return true; };
  left.Train(config, At("c"), At("c_checkpoints"));
  EXPECT_FALSE(left.answer.ok());
  EXPECT_FALSE(PathExists(JoinPath(At("c"), "report.html")));
}

TEST_F(EngineTest, TheLearningRateFallsInSteps) {
  const TrainRun run = Run("a", Changed(Config(data_), {{"train.epochs", 3}, {"schedule.step_size", 2}}));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  const auto &rate = run.metrics.at("learning_rate");
  EXPECT_DOUBLE_EQ(rate.at(2), 0.01);
  EXPECT_DOUBLE_EQ(rate.at(3), 0.001);
}

TEST_F(EngineTest, ASeedGivesTheSameWeightsWhateverTheWorkersAndTheCache) {
  for (const char *mode : {"finetune", "feature"}) {
    const Json config = Changed(Config(data_), {{"model.architecture", "squeezenet1_1"}, {"model.mode", mode}});
    ASSERT_TRUE(Run("a", Changed(config, {{"data.workers", 1}})).answer.ok());
    ASSERT_TRUE(Run("b", Changed(config, {{"data.workers", 5}, {"data.cache", "none"}})).answer.ok());
    EXPECT_TRUE(ModelBytes("a") == ModelBytes("b")) << mode;
    ASSERT_TRUE(Run("c", Changed(config, {{"train.seed", 2}})).answer.ok());
    EXPECT_NE(ModelBytes("a"), ModelBytes("c")) << mode;
    RemoveTree(At("a_checkpoints"));
    RemoveTree(At("b_checkpoints"));
    RemoveTree(At("c_checkpoints"));
  }
}

TEST_F(EngineTest, TrainingEndsEarlyWhenNothingGetsBetter) {
  const TrainRun run =
      Run("a", Changed(Config(data_), {{"train.epochs", 50}, {"optimizer.lr", 0.0}, {"train.early_stop_epochs", 2}}));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  EXPECT_EQ(run.metrics.at("val/accuracy").size(), 3u);
  EXPECT_TRUE(run.Logged("train.early_stop_epochs"));
  const Json json = Json::Parse(ReadFile(JoinPath(At("a"), "model.json")), "model.json");
  EXPECT_FALSE(json.Get("trained").GetBool("stopped"));
  // Once more: nothing is left to do.
  const TrainRun again =
      Run("a", Changed(Config(data_), {{"train.epochs", 50}, {"optimizer.lr", 0.0}, {"train.early_stop_epochs", 2}}));
  ASSERT_TRUE(again.answer.ok()) << again.answer.message;
  EXPECT_EQ(again.metrics.count("val/accuracy"), 0u);
}

TEST_F(EngineTest, KeptFeaturesOfFixedImagesAreExact) {
  WriteFileAtomic(JoinPath(data_, "train/red/empty.jpg"), "");
  const Json fixed =
      Changed(Config(data_), {{"model.mode", "feature"}, {"transform.augment", Json(false)}, {"train.epochs", 5}});
  const TrainRun plain = Run("plain", fixed);
  ASSERT_TRUE(plain.answer.ok()) << plain.answer.message;
  for (const int64_t views : {1, 3}) {
    const std::string name = "kept" + std::to_string(views);
    const TrainRun kept = Run(name, Changed(fixed, {{"model.cache_features", views}}));
    ASSERT_TRUE(kept.answer.ok()) << kept.answer.message;
    EXPECT_TRUE(ModelBytes(name) == ModelBytes("plain")) << views << " views";
    EXPECT_EQ(kept.metrics.at("train/loss"), plain.metrics.at("train/loss"));
    EXPECT_EQ(kept.metrics.at("bad_images").at(5), 1);
  }
}

Json WithEveryTransform(const Json &config) {
  return Changed(config, {{"transform.vertical_flip", 0.5},
                          {"transform.brightness", 0.4},
                          {"transform.contrast", 0.4},
                          {"transform.saturation", 0.4},
                          {"transform.hue", 0.1},
                          {"transform.rotation_degrees", 20.0},
                          {"transform.rotation_fill", Json::Parse("[120,110,100]", "list")},
                          {"transform.grayscale", 0.2},
                          {"transform.erasing", 0.5}});
}

TEST_F(EngineTest, TransformsDependOnNeitherWorkersNorCache) {
  const Json config = WithEveryTransform(Config(data_));
  ASSERT_TRUE(Run("plain", Config(data_)).answer.ok());
  const TrainRun one = Run("one", Changed(config, {{"data.workers", 1}, {"data.cache", "none"}}));
  ASSERT_TRUE(one.answer.ok()) << one.answer.message;
  ASSERT_TRUE(Run("three", Changed(config, {{"data.workers", 3}, {"data.cache", "memory"}})).answer.ok());
  EXPECT_TRUE(ModelBytes("one") == ModelBytes("three"));
  EXPECT_FALSE(ModelBytes("one") == ModelBytes("plain"));
  for (const auto &[key, value] : std::vector<std::pair<std::string, Json>>{{"transform.horizontal_flip", 0.0},
                                                                            {"transform.scale_maximum", 0.6},
                                                                            {"transform.ratio_minimum", 1.0},
                                                                            {"transform.vertical_flip", 1.0},
                                                                            {"transform.erasing_ratio_maximum", 0.5}}) {
    ASSERT_TRUE(Run(key, Changed(config, {{key, value}})).answer.ok());
    EXPECT_FALSE(ModelBytes(key) == ModelBytes("one")) << key;
  }
  // A model that was trained with them is fed as any other.
  const Json trained = Json::Parse(ReadFile(JoinPath(At("one"), "model.json")), "model.json");
  const Json plain = Json::Parse(ReadFile(JoinPath(At("plain"), "model.json")), "model.json");
  EXPECT_EQ(trained.Get("preprocessing").Dump(), plain.Get("preprocessing").Dump());
}

TEST_F(EngineTest, KeptFeaturesAreThoseOfTheTransforms) {
  const Json config = Changed(WithEveryTransform(Config(data_)),
                              {{"model.mode", "feature"}, {"model.cache_features", 2}, {"train.epochs", 3}});
  ASSERT_TRUE(Run("one", Changed(config, {{"data.workers", 1}})).answer.ok());
  ASSERT_TRUE(Run("three", Changed(config, {{"data.workers", 3}})).answer.ok());
  ASSERT_TRUE(Run("other", Changed(config, {{"transform.hue", 0.0}})).answer.ok());
  EXPECT_TRUE(ModelBytes("one") == ModelBytes("three"));
  EXPECT_FALSE(ModelBytes("one") == ModelBytes("other"));
}

TEST_F(EngineTest, KeptFeaturesComeFromABackboneThatStaysAsItIs) {
  const Json config = Changed(Config(data_), {{"model.architecture", "resnet18"},
                                              {"model.mode", "feature"},
                                              {"model.cache_features", 2},
                                              {"train.epochs", 6}});
  ASSERT_TRUE(Run("start", Changed(config, {{"optimizer.lr", 0.0}})).answer.ok());
  const TrainRun whole = Run("whole", config);
  ASSERT_TRUE(whole.answer.ok()) << whole.answer.message;
  const TensorFile start = OpenWeights(JoinPath(At("start"), "model.safetensors"));
  for (const NamedTensor &tensor : OpenWeights(JoinPath(At("whole"), "model.safetensors")).tensors) {
    EXPECT_EQ(Bytes(tensor) != Bytes(*start.Find(tensor.name)), tensor.name.starts_with("fc.")) << tensor.name;
  }
  // A resumed run draws the same views.
  int left = 0;
  for (TrainRun run; left < 20; ++left) {
    run = {};
    run.leave = [calls = 0]() mutable { return ++calls > 4; };
    run.Train(config, At("parts"), At("parts_checkpoints"));
    if (run.answer.ok()) break;
    ASSERT_EQ(run.answer.code, "left") << run.answer.message;
  }
  EXPECT_GE(left, 3);
  EXPECT_TRUE(ModelBytes("parts") == ModelBytes("whole"));
}

TEST_F(EngineTest, FeatureModeLeavesTheBackbonesParametersUntouched) {
  for (const auto &[architecture, head_prefix] : std::vector<std::pair<const char *, const char *>>{
           {"squeezenet1_1", "classifier."}, {"resnet18", "fc."}, {"mobilenet_v3_small", "classifier.3."}}) {
    const Json config =
        Changed(Config(data_), {{"model.architecture", architecture}, {"model.mode", "feature"}, {"train.epochs", 1}});
    const std::string name = architecture;
    ASSERT_TRUE(Run(name + "start", Changed(config, {{"optimizer.lr", 0.0}})).answer.ok());
    ASSERT_TRUE(Run(name + "end", config).answer.ok());
    const TensorFile start = OpenWeights(JoinPath(At(name + "start"), "model.safetensors"));
    const TensorFile end = OpenWeights(JoinPath(At(name + "end"), "model.safetensors"));
    int heads = 0;
    for (const NamedTensor &tensor : end.tensors) {
      const bool head = tensor.name.starts_with(head_prefix);
      const NamedTensor *before = start.Find(tensor.name);
      ASSERT_NE(before, nullptr) << tensor.name;
      EXPECT_EQ(Bytes(tensor) != Bytes(*before), head) << tensor.name;
      heads += head ? 1 : 0;
    }
    EXPECT_EQ(heads, 2);
    // As in the tutorial, the frozen network is in training mode: the batch norms' statistics follow the images.
    const NamedTensor *batches = end.Find("bn1.num_batches_tracked");
    if (batches != nullptr) {
      int64_t count = 0;
      std::memcpy(&count, batches->data.data(), sizeof count);
      EXPECT_EQ(count, 3);
    }
  }
}

TEST_F(EngineTest, AStopRequestEndsWellAfterTheStep) {
  TrainRun run;
  int calls = 0;
  run.stop = [&calls] { return ++calls >= 2; };
  run.Train(Changed(Config(data_), {{"train.epochs", 50}}), At("a"), At("a_checkpoints"));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  EXPECT_EQ(run.metrics.at("val/accuracy").size(), 1u);
  EXPECT_TRUE(run.Logged("stopped as asked"));
  const Json json = Json::Parse(ReadFile(JoinPath(At("a"), "model.json")), "model.json");
  EXPECT_TRUE(json.Get("trained").GetBool("stopped"));
  EXPECT_FALSE(ModelBytes("a").empty());
  // A part of an epoch that was evaluated is nothing to resume from.
  EXPECT_TRUE(ListDir(At("a_checkpoints")).empty());
  const std::string report = ReadFile(JoinPath(At("a"), "report.html"));
  EXPECT_NE(report.find("Stopped early"), std::string::npos);
  EXPECT_EQ(report.find("No epoch was finished."), std::string::npos);
}

TEST_F(EngineTest, WhoLeavesWithoutACheckpointSaysSo) {
  TrainRun run;
  run.leave = [] { return true; };
  // The first step makes the weights infinite; the loss would show it in the next one.
  run.Train(Changed(Config(data_), {{"optimizer.lr", 1e5}, {"optimizer.weight_decay", 1e38}}), At("a"),
            At("a_checkpoints"));
  EXPECT_EQ(run.answer.code, "left") << run.answer.message;
  EXPECT_NE(run.answer.message.find("without a checkpoint"), std::string::npos) << run.answer.message;
  EXPECT_TRUE(ListDir(At("a_checkpoints")).empty());
  run.Train(Config(data_), At("b"), At("b_checkpoints"));
  EXPECT_NE(run.answer.message.find("with a checkpoint to go on from"), std::string::npos) << run.answer.message;
}

TEST_F(EngineTest, ALossThatIsNoNumberFailsAndSaysWhatToTry) {
  const TrainRun run = Run("a", Changed(Config(data_), {{"optimizer.lr", 1e30}}));
  EXPECT_EQ(run.answer.code, "nan_loss");
  EXPECT_THAT(run.answer.message, HasSubstr("epoch 1, step "));
  EXPECT_THAT(run.answer.message, HasSubstr("optimizer.lr"));
  EXPECT_FALSE(PathExists(JoinPath(At("a"), "model.json")));
}

TEST_F(EngineTest, StepsWithoutANumberCanBeLeftOutButNotAWholeEpoch) {
  const TrainRun run = Run("a", Changed(Config(data_), {{"optimizer.lr", 1e30}, {"train.nan_policy", "skip"}}));
  EXPECT_EQ(run.answer.code, "nan_loss");
  EXPECT_THAT(run.answer.message, HasSubstr("every step"));
  EXPECT_TRUE(run.Logged("left out and counted"));
}

TEST_F(EngineTest, BadImagesAreLeftOutAndNamed) {
  WriteFileAtomic(JoinPath(data_, "train/red/empty.jpg"), "");
  const std::string whole = ReadFile(JoinPath(data_, "train/red/0.jpg"));
  WriteFileAtomic(JoinPath(data_, "train/red/truncated.jpg"), whole.substr(0, whole.size() / 2));
  WriteFileAtomic(JoinPath(data_, "val/red/text.jpg"), "this is no image");
  const TrainRun run = Run("a", Changed(Config(data_), {{"train.epochs", 3}}));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  EXPECT_TRUE(run.Logged("train/red/empty.jpg"));
  EXPECT_TRUE(run.Logged("train/red/truncated.jpg"));
  EXPECT_TRUE(run.Logged("val/red/text.jpg"));
  EXPECT_EQ(run.metrics.at("bad_images").at(3), 3);
  // Each is named once, not once an epoch.
  int named = 0;
  for (const std::string &line : run.log) named += line.find("empty.jpg") != std::string::npos ? 1 : 0;
  EXPECT_EQ(named, 1);
}

TEST_F(EngineTest, ABadImageFailsTheRunWhenAskedTo) {
  WriteFileAtomic(JoinPath(data_, "train/red/empty.jpg"), "");
  const TrainRun run = Run("a", Changed(Config(data_), {{"data.bad_images", "fail"}}));
  EXPECT_EQ(run.answer.code, "data");
  EXPECT_THAT(run.answer.message, HasSubstr("train/red/empty.jpg"));
}

TEST_F(EngineTest, DataErrorsNameThePlace) {
  const TrainRun missing = Run("a", Config(At("nowhere")));
  EXPECT_EQ(missing.answer.code, "data");
  EXPECT_THAT(missing.answer.message, HasSubstr(At("nowhere")));
  MakeDirs(JoinPath(data_, "val/white"));
  WriteJpeg(JoinPath(data_, "val/white/1.jpg"), 64, 64, 0, 1);
  const TrainRun different = Run("b", Config(data_));
  EXPECT_EQ(different.answer.code, "data");
  EXPECT_THAT(different.answer.message, HasSubstr("white"));
  MakeDirs(JoinPath(data_, "train/white"));
  const TrainRun empty = Run("c", Config(data_));
  EXPECT_EQ(empty.answer.code, "data");
  EXPECT_THAT(empty.answer.message, HasSubstr("white"));
}

TEST_F(EngineTest, WeightsErrorsNameTheTensors) {
  ASSERT_TRUE(Run("a", Changed(Config(data_), {{"train.epochs", 1}})).answer.ok());
  const std::string weights = JoinPath(At("a"), "model.safetensors");
  const TrainRun other = Run("b", Changed(Config(data_), {{"model.architecture", "resnet18"}}), weights);
  EXPECT_EQ(other.answer.code, "weights");
  EXPECT_THAT(other.answer.message, HasSubstr("missing"));
  EXPECT_THAT(other.answer.message, HasSubstr("squeezenet1_1"));
  WriteFileAtomic(weights, ReadFile(weights).substr(0, 100000));
  const TrainRun truncated = Run("c", Config(data_), weights);
  EXPECT_EQ(truncated.answer.code, "weights");
  EXPECT_THAT(truncated.answer.message, HasSubstr("truncated"));
}

TEST_F(EngineTest, WeightsForOtherClassesGetANewHead) {
  ASSERT_TRUE(Run("a", Changed(Config(data_), {{"train.epochs", 1}})).answer.ok());
  RemoveTree(JoinPath(data_, "train/red"));
  RemoveTree(JoinPath(data_, "val/red"));
  const TrainRun run = Run("b", Changed(Config(data_), {{"train.epochs", 1}}), JoinPath(At("a"), "model.safetensors"));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  const TensorFile file = OpenWeights(JoinPath(At("b"), "model.safetensors"));
  EXPECT_EQ(file.Find("classifier.1.weight")->shape, (std::vector<int64_t>{2, 512, 1, 1}));
}

TEST_F(EngineTest, SettingsThatMakeNoSenseAreErrors) {
  ty_engine_error error = {};
  ty_engine_host host = {};
  host.output_directory = host.checkpoint_directory = host.weights_path = "/tmp";
  EXPECT_NE(Engine().train("{", &host, &error), 0);
  EXPECT_NE(Take(1, &error).message, "");
  EXPECT_EQ(Engine().train(nullptr, &host, &error), 1);
  Take(1, &error);
  EXPECT_EQ(Run("a", Changed(Config(data_), {{"device", "tpu"}})).answer.status, 1);
  EXPECT_THAT(Run("a", Changed(Config(data_), {{"device", "cuda:99"}})).answer.message, HasSubstr("cuda:99"));
  EXPECT_THAT(Run("a", Changed(Config(data_), {{"model.architecture", "resnet19"}})).answer.message,
              HasSubstr("resnet18"));
}

}  // namespace
}  // namespace trainyard
