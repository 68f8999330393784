// Training jobs on manifests from end to end: the same as folders where they say the same, images drawn by weight,
// shares set apart, several labels, numbers; and what predicts with the models that they leave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "engine_torch/train/engine_fixture.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

const std::vector<std::string> kClasses = {"blue", "green", "red"};

class TasksTest : public EngineTest {
 protected:
  // A row for each image of the folders, in their order: `label` tells what of its class, in CSV.
  template <typename Label>
  std::string Manifest(const std::string &name, Label label) {
    std::string text = "path,label,split\n";
    for (const char *part : {"train", "val"}) {
      for (const std::string &one : kClasses) {
        const std::string folder = JoinPath(part, one);
        for (const DirEntry &entry : ListDir(JoinPath(data_, folder))) {
          text += JoinPath(folder, entry.name) + "," + label(one) + "," + part + "\n";
        }
      }
    }
    const std::string path = JoinPath(data_, name);
    WriteFileAtomic(path, text);
    return path;
  }
  std::string ClassManifest() {
    return Manifest("classes.csv", [](const std::string &one) { return one; });
  }
  static Json With(const std::string &manifest, const std::vector<std::pair<std::string, Json>> &changes) {
    return Changed(Changed(Config(""), {{"data.manifest", manifest}}), changes);
  }
  std::string Checkpoint(const std::string &name, const std::string &file) const {
    return ReadFile(JoinPath(At(name + "_checkpoints"), file));
  }
  Json ModelJson(const std::string &name) const {
    return Json::Parse(ReadFile(JoinPath(At(name), "model.json")), "model.json");
  }

  // What the model says of each validation image of a class: its outputs by index of class.
  std::vector<std::vector<double>> Predict(const std::string &name, const std::string &one) const {
    ty_engine_predictor *predictor = nullptr;
    ty_engine_error error = {};
    Answer answer = Take(Engine().predictor_open(At(name).c_str(), "cpu", &predictor, &error), &error);
    EXPECT_TRUE(answer.ok()) << answer.message;
    ty_engine_prediction *prediction = nullptr;
    const std::string folder = JoinPath(data_, "val/" + one);
    answer = Take(Engine().predictor_folder(predictor, folder.c_str(), 100, &prediction, &error), &error);
    EXPECT_TRUE(answer.ok()) << answer.message;
    std::vector<std::vector<double>> outputs;
    for (size_t i = 0; i < Engine().prediction_size(prediction); ++i) {
      ty_engine_prediction_item item = {};
      Engine().prediction_item(prediction, i, &item);
      EXPECT_EQ(item.error, nullptr);
      std::vector<double> values(static_cast<size_t>(item.count));
      for (int32_t k = 0; k < item.count; ++k) values.at(static_cast<size_t>(item.classes[k])) = item.probabilities[k];
      outputs.push_back(values);
    }
    Engine().prediction_free(prediction);
    Engine().predictor_free(predictor);
    return outputs;
  }
};

TEST_F(TasksTest, AManifestOfTheSameImagesIsTheSameTraining) {
  const std::string manifest = ClassManifest();
  ASSERT_TRUE(Run("folders", Config(data_)).answer.ok());
  const TrainRun run = Run("manifest", With(manifest, {}));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  EXPECT_TRUE(ModelBytes("folders") == ModelBytes("manifest"));
  const std::string file = "checkpoint-000002.safetensors";
  EXPECT_TRUE(Checkpoint("folders", file) == Checkpoint("manifest", file));
  EXPECT_THAT(ReadFile(JoinPath(At("manifest"), "report.html")), HasSubstr("squeezenet1_1 on classes.csv"));
  EXPECT_EQ(ModelJson("manifest").GetString("task"), "image_classification");
}

TEST_F(TasksTest, ManifestErrorsAreProblemsOfTheData) {
  const std::string manifest = ClassManifest();
  WriteFileAtomic(manifest, "path,label,split\nx.jpg,red,train\ny.jpg,red,dev\n");
  const TrainRun run = Run("a", With(manifest, {}));
  EXPECT_EQ(run.answer.code, "data");
  EXPECT_THAT(run.answer.message, HasSubstr("classes.csv:3: column 'split'"));
  // Whether images are there shows when they are needed.
  WriteFileAtomic(manifest, "path,label,split\nval/red/0.jpg,red,train\nnone.jpg,red,train\nval/red/1.jpg,red,val\n");
  const TrainRun absent = Run("b", With(manifest, {}));
  ASSERT_TRUE(absent.answer.ok()) << absent.answer.message;
  EXPECT_TRUE(absent.Logged("none.jpg"));
  EXPECT_EQ(absent.metrics.at("bad_images").at(2), 1);
}

TEST_F(TasksTest, AShareOfTheTrainingImagesValidates) {
  RemoveTree(JoinPath(data_, "val"));
  const Json config = Changed(
      Config(data_),
      {{"data.directory", ""}, {"data.train_directory", JoinPath(data_, "train")}, {"data.validation_fraction", 0.25}});
  const TrainRun run = Run("a", config);
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  EXPECT_TRUE(run.Logged("9 training and 3 validation images in 3 classes"));
  ASSERT_TRUE(Run("b", config).answer.ok());
  EXPECT_TRUE(ModelBytes("a") == ModelBytes("b"));
  const TrainRun other = Run("a", Changed(config, {{"data.validation_fraction", 0.5}}));
  EXPECT_EQ(other.answer.code, "checkpoint");
  EXPECT_THAT(other.answer.message, HasSubstr("validation fraction 0.25"));
  // The folder that data.directory has none of.
  const TrainRun whole = Run("c", Changed(Config(data_), {{"data.validation_fraction", 0.25}}));
  ASSERT_TRUE(whole.answer.ok()) << whole.answer.message;
  EXPECT_TRUE(ModelBytes("a") == ModelBytes("c"));
  MakeImages(data_, 4, 2);
  const TrainRun both = Run("d", Changed(Config(data_), {{"data.validation_fraction", 0.25}}));
  EXPECT_THAT(both.answer.message, HasSubstr("data.validation_fraction"));
  EXPECT_FALSE(both.answer.ok());
}

TEST_F(TasksTest, WeightedEpochsResumeInTheirMiddleBitByBit) {
  const std::string manifest = JoinPath(data_, "weights.csv");
  std::string text = ReadFile(ClassManifest());
  std::string weighted;
  size_t row = 0;
  for (size_t end = 0; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1), ++row) {
    weighted += text.substr(0, end) + (row == 0 ? ",weight" : row % 3 == 0 ? ",5" : ",0.5") + "\n";
  }
  WriteFileAtomic(manifest, weighted);
  for (const char *mode : {"finetune", "feature"}) {
    const std::string name = mode;
    const Json config = With(manifest, {{"data.sampling", "weighted"},
                                        {"train.epochs", 3},
                                        {"train.batch_size", 3},
                                        {"model.mode", mode},
                                        {"model.cache_features", name == "feature" ? 2 : 0}});
    const TrainRun whole = Run(name + "whole", config);
    ASSERT_TRUE(whole.answer.ok()) << whole.answer.message;
    int left = 0;
    for (TrainRun run; left < 50; ++left) {
      run = {};
      run.leave = [calls = 0, after = 1 + left % 3]() mutable { return ++calls > after; };
      if (left >= 6) run.leave = [] { return false; };
      run.Train(config, At(name + "parts"), At(name + "parts_checkpoints"));
      if (run.answer.ok()) break;
      ASSERT_EQ(run.answer.code, "left") << run.answer.message;
    }
    EXPECT_TRUE(ModelBytes(name + "whole") == ModelBytes(name + "parts")) << name;
    const std::string file = "checkpoint-000003.safetensors";
    EXPECT_TRUE(Checkpoint(name + "whole", file) == Checkpoint(name + "parts", file)) << name;
    ASSERT_TRUE(Run(name + "shuffled", Changed(config, {{"data.sampling", "shuffle"}})).answer.ok());
    EXPECT_FALSE(ModelBytes(name + "whole") == ModelBytes(name + "shuffled"));
  }
}

TEST_F(TasksTest, TwoClassesHaveARocAuc) {
  EXPECT_EQ(Run("three", Config(data_)).metrics.count("val/roc_auc"), 0u);
  for (const char *part : {"train", "val"}) RemoveTree(JoinPath(data_, std::string(part) + "/green"));
  const TrainRun run = Run("a", Changed(Config(data_), {{"train.epochs", 3}}));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  // The share of pairs of a blue and a red image that are in the right order, from the predictor's probabilities.
  double right = 0;
  for (const std::vector<double> &blue : Predict("a", "blue")) {
    for (const std::vector<double> &red : Predict("a", "red")) {
      right += blue.at(1) < red.at(1) ? 1 : blue.at(1) == red.at(1) ? 0.5 : 0;
    }
  }
  EXPECT_DOUBLE_EQ(run.metrics.at("val/roc_auc").at(3), right / 4);
  EXPECT_THAT(ReadFile(JoinPath(At("a"), "report.html")), HasSubstr("ROC AUC"));
}

TEST_F(TasksTest, SeveralLabelsAreLearntAtOnce) {
  const std::map<std::string, std::string> labels = {{"blue", ""}, {"green", "cold"}, {"red", "warm;cold"}};
  const std::string manifest = Manifest("labels.csv", [&](const std::string &one) { return labels.at(one); });
  const Json config = With(manifest, {{"task", "multilabel"}, {"train.epochs", 4}, {"model.architecture", "resnet18"}});
  const TrainRun run = Run("a", config);
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  for (const char *name : {"train/accuracy", "val/accuracy", "val/f1_micro", "val/f1_macro",
                           "val/average_precision_macro", "val/roc_auc_macro"}) {
    EXPECT_EQ(run.metrics.at(name).size(), 4u) << name;
  }
  EXPECT_EQ(run.metrics.count("val/balanced_accuracy"), 0u);
  const Json model = ModelJson("a");
  EXPECT_EQ(model.GetString("task"), "image_multilabel");
  EXPECT_EQ(model.GetStringList("classes"), (std::vector<std::string>{"cold", "warm"}));
  // The predictor's probabilities give the accuracy that the best epoch had.
  double right = 0;
  for (const auto &[one, text] : labels) {
    for (const std::vector<double> &p : Predict("a", one)) {
      ASSERT_EQ(p.size(), 2u);
      for (const double probability : p) EXPECT_TRUE(probability >= 0 && probability <= 1);
      right += (p[0] > 0.5) == (one != "blue") && (p[1] > 0.5) == (one == "red") ? 1 : 0;
    }
  }
  EXPECT_DOUBLE_EQ(right / 6, run.metrics.at("best_val_accuracy").at(4));
  const std::string report = ReadFile(JoinPath(At("a"), "report.html"));
  EXPECT_THAT(report, HasSubstr("All labels right"));
  EXPECT_THAT(report, HasSubstr("<th scope=\"row\">cold</th>"));
  EXPECT_THAT(report, HasSubstr("val/red/0.jpg"));
  EXPECT_THAT(report, testing::Not(HasSubstr("Confusion matrix")));
}

TEST_F(TasksTest, NumbersAreLearnt) {
  const std::map<std::string, double> values = {{"blue", -1}, {"green", 0.25}, {"red", 1}};
  const std::string manifest =
      Manifest("values.csv", [&](const std::string &one) { return std::to_string(values.at(one)); });
  const Json config =
      With(manifest,
           {{"task", "regression"}, {"train.epochs", 5}, {"model.architecture", "resnet18"}, {"optimizer.lr", 0.003}});
  const TrainRun run = Run("a", config);
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  EXPECT_EQ(run.metrics.count("val/accuracy") + run.metrics.count("train/accuracy"), 0u);
  EXPECT_EQ(run.metrics.count("best_val_accuracy"), 0u);
  EXPECT_TRUE(run.progress.back().Get("loss").AsDouble() >= 0);
  EXPECT_FALSE(run.progress.back().Has("accuracy"));
  double best = INFINITY;
  for (const auto &[epoch, loss] : run.metrics.at("val/loss")) {
    best = std::min(best, loss);
    EXPECT_NEAR(std::sqrt(loss), run.metrics.at("val/rmse").at(epoch), 1e-4 * (1 + std::sqrt(loss)));
    EXPECT_TRUE(run.metrics.at("val/mae").contains(epoch) && run.metrics.at("val/r2").contains(epoch));
  }
  EXPECT_DOUBLE_EQ(run.metrics.at("best_val_loss").at(5), best);
  const auto best_epoch = static_cast<int64_t>(run.metrics.at("best_epoch").at(5));
  EXPECT_DOUBLE_EQ(run.metrics.at("val/loss").at(best_epoch), best);
  const Json model = ModelJson("a");
  EXPECT_EQ(model.GetString("task"), "image_regression");
  EXPECT_EQ(model.GetStringList("classes"), (std::vector<std::string>{"value"}));
  EXPECT_FALSE(model.Get("trained").Has("best_val_accuracy"));
  double squared = 0;
  for (const auto &[one, value] : values) {
    for (const std::vector<double> &told : Predict("a", one)) squared += (told.at(0) - value) * (told.at(0) - value);
  }
  EXPECT_NEAR(squared / 6, best, 1e-3 * (1 + best));
  const std::string report = ReadFile(JoinPath(At("a"), "report.html"));
  EXPECT_THAT(report, HasSubstr("Root mean squared error"));
  EXPECT_THAT(report, HasSubstr("val/red/0.jpg"));
  EXPECT_THAT(report, testing::Not(HasSubstr("Validation accuracy")));

  // In two parts: the same model, and the best epoch's figures are in the report again.
  ASSERT_TRUE(Run("b", Changed(config, {{"train.epochs", 3}})).answer.ok());
  const TrainRun second = Run("b", config);
  ASSERT_TRUE(second.answer.ok()) << second.answer.message;
  EXPECT_TRUE(ModelBytes("a") == ModelBytes("b"));
  EXPECT_THAT(ReadFile(JoinPath(At("b"), "report.html")), HasSubstr("Root mean squared error"));
}

TEST_F(TasksTest, LossAndTaskGoTogether) {
  const std::string manifest = Manifest("values.csv", [](const std::string &) { return "1"; });
  const TrainRun wrong =
      Run("a", With(manifest, {{"task", "regression"}, {"loss", Json::Parse(R"({"name":"bce"})", "l")}}));
  EXPECT_EQ(wrong.answer.code, "settings");
  EXPECT_THAT(wrong.answer.message, HasSubstr("'loss.name' is bce, and 'task' regression"));
  for (const char *loss : {"l1", "huber"}) {
    const TrainRun run =
        Run(loss,
            With(manifest, {{"task", "regression"}, {"train.epochs", 1}, {"loss", Json::Object().Set("name", loss)}}));
    EXPECT_TRUE(run.answer.ok()) << run.answer.message;
  }
}

}  // namespace
}  // namespace trainyard
