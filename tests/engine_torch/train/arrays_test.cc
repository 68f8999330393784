// Training jobs on arrays from end to end: each task to a known result, the same as images and as ty_trainer where
// they say the same, the same bits after a resume, and what predicts with the models that they leave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine_torch/image/image.h"
#include "engine_torch/train/array_files.h"
#include "engine_torch/train/engine_fixture.h"
#include "engine_torch/train/sampler.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using trainyard::testing::Noise;
using trainyard::testing::WriteArray;

DLTensor View(void *data, uint8_t code, uint8_t bits, std::vector<int64_t> *shape) {
  DLTensor tensor = {};
  tensor.data = data;
  tensor.device = {kDLCPU, 0};
  tensor.ndim = static_cast<int32_t>(shape->size());
  tensor.dtype = {code, bits, 1};
  tensor.shape = shape->data();
  return tensor;
}

class ArraysTest : public EngineTest {
 protected:
  void SetUp() override {}  // no images

  static Json With(const std::string &arrays, const std::vector<std::pair<std::string, Json>> &changes) {
    const Json base = Changed(Config(""), {{"data.arrays", arrays},
                                           {"model.architecture", "mlp"},
                                           {"model.hidden", Json::Parse("[32]", "hidden")},
                                           {"train.batch_size", 16},
                                           {"train.epochs", 30},
                                           {"optimizer.name", "adam"},
                                           {"optimizer.lr", 0.01},
                                           {"schedule.name", "constant"}});
    return Changed(base, changes);
  }
  // Points of the plane: 200 to learn from, 80 to validate with; `targets` tells what of each.
  template <typename T, typename Target>
  std::string Plane(const std::string &name, int64_t columns, Target target) const {
    const std::string path = At(name);
    Noise noise(3);
    for (const auto &[prefix, count] : {std::pair<std::string, int64_t>{"", 200}, {"validation_", 80}}) {
      const std::vector<float> inputs = noise.Many(static_cast<size_t>(2 * count));
      std::vector<T> targets;
      for (size_t i = 0; i < inputs.size(); i += 2) {
        for (const T value : target(inputs[i], inputs[i + 1])) targets.push_back(value);
      }
      WriteArray<float>(path, prefix + "inputs", {count, 2}, inputs);
      WriteArray<T>(path, prefix + "targets",
                    columns == 0 ? std::vector<int64_t>{count} : std::vector<int64_t>{count, columns}, targets);
    }
    return path;
  }
  std::string Quadrants(const std::string &name) const {
    return Plane<int64_t>(name, 0,
                          [](float x, float y) { return std::vector<int64_t>{(x > 0 ? 1 : 0) + (y > 0 ? 2 : 0)}; });
  }
  Json ModelJson(const std::string &name) const {
    return Json::Parse(ReadFile(JoinPath(At(name), "model.json")), "model.json");
  }
  std::string Report(const std::string &name) const { return ReadFile(JoinPath(At(name), "report.html")); }

  // What the model says, `outputs` values for each sample; or an error's text.
  template <typename T>
  Answer Predict(const std::string &name, std::vector<T> inputs, std::vector<int64_t> shape, uint8_t code,
                 std::vector<float> *outputs) const {
    ty_engine_predictor *predictor = nullptr;
    ty_engine_error error = {};
    Answer answer = Take(Engine().predictor_open(At(name).c_str(), "cpu", &predictor, &error), &error);
    if (!answer.ok()) return answer;
    const DLTensor view = View(inputs.data(), code, 8 * sizeof(T), &shape);
    answer = Take(Engine().predictor_tensor(predictor, &view, outputs->data(), outputs->size(), &error), &error);
    Engine().predictor_free(predictor);
    return answer;
  }
};

TEST_F(ArraysTest, NumbersAreLearntToTheirFormula) {
  const std::string path =
      Plane<float>("linear", 0, [](float x, float y) { return std::vector<float>{2 * x - 3 * y + 0.5f}; });
  const TrainRun run =
      Run("a", With(path, {{"task", "regression"}, {"model.hidden", Json::Array()}, {"optimizer.lr", 0.05}}));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  EXPECT_GT(run.metrics.at("val/r2").at(30), 0.9999);
  EXPECT_EQ(run.metrics.count("val/accuracy"), 0u);
  EXPECT_TRUE(run.Logged("200 training and 80 validation samples, each with a number"));
  const TensorFile weights = OpenWeights(JoinPath(At("a"), "model.safetensors"));
  const auto number = [&](const char *name, size_t i) {
    return static_cast<double>(reinterpret_cast<const float *>(weights.Find(name)->data.data())[i]);
  };
  EXPECT_NEAR(number("0.weight", 0), 2, 0.02);
  EXPECT_NEAR(number("0.weight", 1), -3, 0.02);
  EXPECT_NEAR(number("0.bias", 0), 0.5, 0.02);
  std::vector<float> told(2);
  ASSERT_TRUE(Predict<float>("a", {1, 1, -1, 0.5f}, {2, 2}, kDLFloat, &told).ok());
  EXPECT_NEAR(told[0], -0.5, 0.05);
  EXPECT_NEAR(told[1], -3, 0.05);
  const Json model = ModelJson("a");
  EXPECT_EQ(model.GetString("task"), "array_regression");
  EXPECT_EQ(model.GetString("architecture"), "mlp");
  EXPECT_EQ(model.Get("input").Dump(), R"({"shape":[2]})");
  EXPECT_FALSE(model.Has("preprocessing"));
  const std::string report = Report("a");
  for (const char *part : {"mlp on linear", "on 80 samples", "validation_inputs[", "shape of a sample"}) {
    EXPECT_THAT(report, HasSubstr(part));
  }
  EXPECT_THAT(report, Not(HasSubstr("no picture")));
  EXPECT_THAT(report, Not(HasSubstr(" images")));
}

TEST_F(ArraysTest, SeveralNumbersHaveTheMeansOfTheirErrors) {
  const std::string path = Plane<float>("pair", 3, [](float x, float y) { return std::vector<float>{x, 100 * y, 0}; });
  WriteFileAtomic(JoinPath(path, "classes.json"), R"(["left", "right", "none"])");
  const TrainRun run = Run("a", With(path, {{"task", "regression"}, {"train.epochs", 2}}));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  // The predictor's numbers, by scikit-learn's definitions.
  const std::string inputs = ReadFile(JoinPath(path, "validation_inputs.npy"));
  std::vector<float> values(160), told(240);
  std::memcpy(values.data(), inputs.data() + inputs.size() - 640, 640);
  ASSERT_TRUE(Predict("a", values, {80, 2}, kDLFloat, &told).ok());
  double rmse = 0, mae = 0;
  for (size_t output = 0; output < 3; ++output) {
    double squared = 0, absolute = 0;
    for (size_t i = 0; i < 80; ++i) {
      const float truth = output == 0 ? values[2 * i] : output == 1 ? 100 * values[2 * i + 1] : 0;
      const double error = static_cast<double>(told[3 * i + output] - truth);
      squared += error * error / 80;
      absolute += std::abs(error) / 80;
    }
    rmse += std::sqrt(squared) / 3;
    mae += absolute / 3;
  }
  ASSERT_EQ(run.metrics.at("best_epoch").at(2), 2);
  EXPECT_NEAR(run.metrics.at("val/rmse").at(2), rmse, 1e-3);
  EXPECT_NEAR(run.metrics.at("val/mae").at(2), mae, 1e-3);
  EXPECT_TRUE(run.Logged("each with 3 numbers"));
  const std::string report = Report("a");
  for (const char *part : {"mean of 3 outputs", "<th scope=\"row\">right</th>", "<h3>left</h3>"}) {
    EXPECT_THAT(report, HasSubstr(part));
  }
}

TEST_F(ArraysTest, ClassesAreLearnt) {
  const TrainRun run = Run("a", With(Quadrants("quadrants"), {{"data.workers", 1}, {"train.epochs", 60}}));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  EXPECT_GT(run.metrics.at("best_val_accuracy").at(60), 0.94);
  EXPECT_TRUE(run.Logged("200 training and 80 validation samples in 4 classes: 0, 1, 2, 3"));
  EXPECT_TRUE(run.Logged("samples/s"));
  std::vector<float> told(8);
  ASSERT_TRUE(Predict<double>("a", {0.5, -0.5, -0.5, 0.5}, {2, 2}, kDLFloat, &told).ok());
  EXPECT_GT(told[1], 0.8f);
  EXPECT_GT(told[4 + 2], 0.8f);
  EXPECT_NEAR(told[0] + told[1] + told[2] + told[3], 1, 1e-5);
  EXPECT_EQ(ModelJson("a").GetString("task"), "array_classification");
  EXPECT_THAT(Report("a"), HasSubstr("Confusion matrix"));
  EXPECT_THAT(Report("a"), Not(HasSubstr(" images")));
}

TEST_F(ArraysTest, LabelsAreLearnt) {
  const std::string path = Plane<float>("labels", 2, [](float x, float y) {
    return std::vector<float>{x > 0.2f ? 1.0f : 0.0f, x + y > 0 ? 1.0f : 0.0f};
  });
  const TrainRun run = Run("a", With(path, {{"task", "multilabel"}, {"train.epochs", 60}}));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  EXPECT_GT(run.metrics.at("best_val_accuracy").at(60), 0.9);
  EXPECT_GT(run.metrics.at("val/average_precision_macro").at(60), 0.97);
  std::vector<float> told(4);
  ASSERT_TRUE(Predict<float>("a", {0.9f, 0.5f, -0.9f, -0.5f}, {2, 2}, kDLFloat, &told).ok());
  EXPECT_TRUE(told[0] > 0.5f && told[1] > 0.5f && told[2] < 0.5f && told[3] < 0.5f);
  EXPECT_EQ(ModelJson("a").GetString("task"), "array_multilabel");
  EXPECT_THAT(Report("a"), Not(HasSubstr(" images")));
}

TEST_F(ArraysTest, AJobIsATrainerThatIsFedInItsOrder) {
  const std::string path = Quadrants("quadrants");
  const Json config = With(path, {{"train.epochs", 1}, {"model.outputs", 4}, {"model.inputs", 2}});
  const TrainRun run = Run("a", config);
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  const std::string inputs = ReadFile(JoinPath(path, "inputs.npy")), targets = ReadFile(JoinPath(path, "targets.npy"));
  std::vector<float> x(400);
  std::vector<int64_t> y(200);
  std::memcpy(x.data(), inputs.data() + inputs.size() - 1600, 1600);
  std::memcpy(y.data(), targets.data() + targets.size() - 1600, 1600);
  ty_engine_trainer *trainer = nullptr;
  ty_engine_error error = {};
  ASSERT_TRUE(Take(Engine().trainer_new(config.Dump().c_str(), nullptr, &trainer, &error), &error).ok());
  const std::vector<size_t> order = ShuffledOrder(1, 1, 200);
  for (size_t first = 0; first < order.size(); first += 16) {
    std::vector<float> batch;
    std::vector<int64_t> classes;
    for (size_t i = first; i < std::min<size_t>(first + 16, 200); ++i) {
      batch.insert(batch.end(), {x[2 * order[i]], x[2 * order[i] + 1]});
      classes.push_back(y[order[i]]);
    }
    std::vector<int64_t> shape = {static_cast<int64_t>(classes.size()), 2}, count = {shape[0]};
    const DLTensor input = View(batch.data(), kDLFloat, 32, &shape), target = View(classes.data(), kDLInt, 64, &count);
    ASSERT_TRUE(Take(Engine().trainer_step(trainer, &input, &target, nullptr, &error), &error).ok());
  }
  ASSERT_TRUE(Take(Engine().trainer_save_weights(trainer, At("trainer.safetensors").c_str(), &error), &error).ok());
  Engine().trainer_free(trainer);
  EXPECT_TRUE(ReadFile(At("trainer.safetensors")) == ModelBytes("a"));
}

// 64 x 64 pixels: what resize and crop leave as they are.
TEST_F(ArraysTest, BytesOfImagesAreTheSameTrainingAsTheirFiles) {
  const std::string folders = At("folders"), bytes = At("bytes"), floats = At("floats");
  const float mean[] = {0.485f, 0.456f, 0.406f}, std[] = {0.229f, 0.224f, 0.225f};
  for (const auto &[part, prefix, each] :
       {std::tuple<std::string, std::string, int>{"train", "", 4}, {"val", "validation_", 2}}) {
    std::vector<uint8_t> pixels;
    std::vector<float> normalised;
    std::vector<int64_t> classes;
    for (int label = 0; label < 3; ++label) {
      const std::string folder = JoinPath(folders, part + "/class" + std::to_string(label));
      MakeDirs(folder);
      for (int i = 0; i < each; ++i) {
        const std::string path = JoinPath(folder, std::to_string(i) + ".jpg");
        WriteJpeg(path, 64, 64, label, static_cast<uint32_t>(100 * label + i + (part == "val" ? 50 : 0)));
        const image::Image image = image::DecodeImageFile(path);
        for (size_t c = 0; c < 3; ++c) {
          for (size_t at = 0; at < 64 * 64; ++at) {
            const uint8_t byte = image.rgb[at * 3 + c];
            pixels.push_back(byte);
            normalised.push_back((static_cast<float>(byte) / 255.0f - mean[c]) / std[c]);
          }
        }
        classes.push_back(label);
      }
    }
    const auto count = static_cast<int64_t>(classes.size());
    WriteArray<uint8_t>(bytes, prefix + "inputs", {count, 3, 64, 64}, pixels);
    WriteArray<float>(floats, prefix + "inputs", {count, 3, 64, 64}, normalised);
    for (const std::string &directory : {bytes, floats}) {
      WriteArray<int64_t>(directory, prefix + "targets", {count}, classes);
    }
  }
  const auto config = [](const std::vector<std::pair<std::string, Json>> &data) {
    return Changed(Changed(Config(""), {{"transform.resize", 64}, {"transform.augment", false}}), data);
  };
  const TrainRun images = Run("images", config({{"data.directory", folders}}));
  ASSERT_TRUE(images.answer.ok()) << images.answer.message;
  for (const std::string name : {"bytes", "floats"}) {
    const TrainRun run = Run(name + "_job", config({{"data.arrays", At(name)}}));
    ASSERT_TRUE(run.answer.ok()) << run.answer.message;
    EXPECT_TRUE(ModelBytes(name + "_job") == ModelBytes("images")) << name;
    EXPECT_EQ(run.metrics.at("val/loss"), images.metrics.at("val/loss"));
  }
  // The predictor takes what the arrays had.
  const Json input = ModelJson("bytes_job").Get("input");
  EXPECT_EQ(input.Get("shape").Dump(), "[3,64,64]");
  EXPECT_EQ(input.Get("std").AsDoubleList(), (std::vector<double>{0.229, 0.224, 0.225}));
  EXPECT_FALSE(ModelJson("floats_job").Get("input").Has("mean"));
  const std::string raw = ReadFile(JoinPath(bytes, "validation_inputs.npy"));
  std::vector<uint8_t> sample(3 * 64 * 64);
  std::memcpy(sample.data(), raw.data() + raw.size() - sample.size(), sample.size());
  std::vector<float> normalised;
  for (size_t i = 0; i < sample.size(); ++i) {
    const size_t c = i / (64 * 64);
    normalised.push_back((static_cast<float>(sample[i]) / 255.0f - mean[c]) / std[c]);
  }
  std::vector<float> of_bytes(3), of_floats(3);
  ASSERT_TRUE(Predict("bytes_job", sample, {1, 3, 64, 64}, kDLUInt, &of_bytes).ok());
  ASSERT_TRUE(Predict("floats_job", normalised, {1, 3, 64, 64}, kDLFloat, &of_floats).ok());
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(of_bytes[i], of_floats[i], 1e-6);
}

TEST_F(ArraysTest, WeightedEpochsWithDropoutResumeInTheirMiddleBitByBit) {
  const std::string path = Quadrants("quadrants");
  std::vector<double> weights;
  for (int i = 0; i < 200; ++i) weights.push_back(i % 3 == 0 ? 5 : 0.5);
  WriteArray<double>(path, "weights", {200}, weights);
  for (const char *name : {"validation_inputs.npy", "validation_targets.npy"}) RemoveTree(JoinPath(path, name));
  const Json config = With(
      path,
      {{"data.sampling", "weighted"},
       {"data.validation_fraction", 0.2},
       {"model.architecture", "sequential"},
       {"model.layers",
        R"([{"type":"linear","out":24},{"type":"batch_norm"},{"type":"relu"},{"type":"dropout","p":0.3},{"type":"linear","out":4}])"},
       {"train.ema_decay", 0.9},
       {"train.epochs", 3}});
  const TrainRun whole = Run("whole", config);
  ASSERT_TRUE(whole.answer.ok()) << whole.answer.message;
  int left = 0;
  for (TrainRun run; left < 50; ++left) {
    run = {};
    run.leave = [calls = 0, after = 1 + left % 4]() mutable { return ++calls > after; };
    if (left >= 8) run.leave = [] { return false; };
    run.Train(config, At("parts"), At("parts_checkpoints"));
    if (run.answer.ok()) break;
    ASSERT_EQ(run.answer.code, "left") << run.answer.message;
  }
  EXPECT_EQ(left, 8);
  EXPECT_TRUE(ModelBytes("whole") == ModelBytes("parts"));
  const std::string file = "_checkpoints/checkpoint-000003.safetensors";
  EXPECT_TRUE(ReadFile(At("whole" + file)) == ReadFile(At("parts" + file)));
  // A checkpoint is of its data.
  const TrainRun other = Run("parts", Changed(config, {{"data.validation_fraction", 0.3}}));
  EXPECT_EQ(other.answer.code, "checkpoint");
}

TEST_F(ArraysTest, SamplesThatAreNotFiniteAreLeftOutAndCounted) {
  const std::string path = Quadrants("quadrants");
  Noise noise(3);
  std::vector<float> inputs = noise.Many(400);
  inputs[7] = NAN;
  WriteArray<float>(path, "inputs", {200, 2}, inputs);
  const TrainRun run = Run("a", With(path, {{"train.epochs", 1}}));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  EXPECT_TRUE(run.Logged("left out a training sample: '" + path + "/inputs.npy': sample 3"));
  EXPECT_EQ(run.metrics.at("bad_images").at(1), 1);
  EXPECT_THAT(Report("a"), HasSubstr("sample 3 has a value that is not finite"));
  const TrainRun fails = Run("b", With(path, {{"train.epochs", 1}, {"data.bad_images", "fail"}}));
  EXPECT_EQ(fails.answer.code, "data");
  EXPECT_THAT(fails.answer.message, HasSubstr("a training sample cannot be read"));
}

TEST_F(ArraysTest, WhatDoesNotFitIsSaidBeforeTraining) {
  const std::string path = Quadrants("quadrants");
  const TrainRun data = Run("a", With(path, {{"task", "regression"}, {"data.validation_fraction", 0.5}}));
  EXPECT_EQ(data.answer.code, "data");
  const TrainRun model = Run("b", With(path, {{"model.architecture", "resnet18"}}));
  EXPECT_EQ(model.answer.code, "settings");
  EXPECT_THAT(model.answer.message, HasSubstr("takes samples of shape [3, height, width], and these are [2]"));
  const TrainRun both = Run("c", Changed(With(path, {}), {{"data.manifest", "/list.csv"}}));
  EXPECT_EQ(both.answer.code, "settings");
}

TEST_F(ArraysTest, ModelsOfArraysTakeNoImageFiles) {
  ASSERT_TRUE(Run("a", With(Quadrants("quadrants"), {{"train.epochs", 1}})).answer.ok());
  ty_engine_predictor *predictor = nullptr;
  ty_engine_error error = {};
  ASSERT_TRUE(Take(Engine().predictor_open(At("a").c_str(), "cpu", &predictor, &error), &error).ok());
  ty_engine_prediction *prediction = nullptr;
  const char *files[] = {"/x.jpg"};
  Answer answer = Take(Engine().predictor_image_files(predictor, files, 1, 1, &prediction, &error), &error);
  EXPECT_THAT(answer.message, HasSubstr("learnt from arrays, samples of shape [2], and takes no image files"));
  answer = Take(Engine().predictor_folder(predictor, directory_.path().c_str(), 1, &prediction, &error), &error);
  EXPECT_THAT(answer.message, HasSubstr("takes no image files"));
  Engine().predictor_free(predictor);
  std::vector<float> told(4);
  answer = Predict<float>("a", {1, 2, 3}, {1, 3}, kDLFloat, &told);
  EXPECT_THAT(answer.message, HasSubstr("samples of shape [2], so the input must be [n, 2]; got [1, 3]"));
}

TEST_F(ArraysTest, ModelsOfArraysAreExported) {
  ASSERT_TRUE(Run("a", With(Quadrants("quadrants"), {{"train.epochs", 1}})).answer.ok());
  ty_engine_error error = {};
  const Answer answer =
      Take(Engine().export_onnx(At("a").c_str(), R"({"softmax":true})", At("a.onnx").c_str(), &error), &error);
  ASSERT_TRUE(answer.ok()) << answer.message;
  const std::string bytes = ReadFile(At("a.onnx"));
  for (const char *part : {"inputs", "probabilities", "array_classification", "0.weight"}) {
    EXPECT_NE(bytes.find(part), std::string::npos) << part;
  }
  const Answer images =
      Take(Engine().export_onnx(At("a").c_str(), R"({"preprocessing":true})", At("b.onnx").c_str(), &error), &error);
  EXPECT_THAT(images.message, HasSubstr("options.preprocessing is for images"));
}

TEST_F(ArraysTest, ValidationCountsSamplesAndSaysWhatDoesNotFit) {
  const auto validate = [](const Json &config) {
    char *text = nullptr;
    ty_engine_error error = {};
    EXPECT_TRUE(Take(Engine().validate(config.Dump().c_str(), "", 1, &text, &error), &error).ok());
    const Json report = Json::Parse(text == nullptr ? "{}" : text, "report");
    Engine().free_string(text);
    return report;
  };
  const std::string path = Quadrants("quadrants");
  const Json good = validate(With(path, {}));
  EXPECT_TRUE(good.GetStringList("problems").empty());
  EXPECT_EQ(good.GetInt64("train_images"), 200);
  EXPECT_EQ(good.GetInt64("validation_images"), 80);
  EXPECT_EQ(good.GetInt64("steps_per_epoch"), 13);
  EXPECT_EQ(good.GetInt64("parameters"), 2 * 32 + 32 + 32 * 4 + 4);
  EXPECT_EQ(good.GetStringList("classes").size(), 4u);
  EXPECT_GT(good.GetInt64("memory_bytes"), 0);
  const Json wrong = validate(With(path, {{"model.inputs", 7}}));
  EXPECT_THAT(wrong.GetStringList("problems"), ::testing::ElementsAre(HasSubstr("'model.inputs' is 7")));
  std::vector<float> inputs(400, 1);
  inputs[0] = INFINITY;
  WriteArray<float>(path, "inputs", {200, 2}, inputs);
  const Json bad = validate(With(path, {}));
  ASSERT_EQ(bad.Get("bad_images").size(), 1u);
  EXPECT_EQ(bad.Get("bad_images").Items()[0].GetString("path"), "inputs[0]");
  EXPECT_THAT(bad.GetStringList("warnings"), ::testing::Contains(HasSubstr("1 sample cannot be read")));
  RemoveTree(JoinPath(path, "targets.npy"));
  const Json none = validate(With(path, {}));
  EXPECT_THAT(none.GetStringList("problems"), ::testing::ElementsAre(HasSubstr("has no file 'targets.npy'")));
}

}  // namespace
}  // namespace trainyard
