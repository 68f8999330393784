// Prediction through the plug-in's seam: files, folders and tensors give the same answers, also from many threads, and
// bad input gives errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "engine_torch/image/transforms.h"
#include "engine_torch/train/engine_fixture.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

struct Item {
  std::string path;
  std::string error;
  std::vector<int32_t> classes;
  std::vector<double> probabilities;
};

class PredictTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    run_ = Run("model", Changed(Config(data_), {{"train.epochs", 4}, {"model.architecture", "squeezenet1_1"}}));
    ASSERT_TRUE(run_.answer.ok()) << run_.answer.message;
    ASSERT_TRUE(Open(At("model")).ok());
  }
  void TearDown() override { Engine().predictor_free(predictor_); }

  Answer Open(const std::string &path, const char *device = "cpu") {
    Engine().predictor_free(predictor_);
    predictor_ = nullptr;
    ty_engine_error error = {};
    const int32_t status = Engine().predictor_open(path.c_str(), device, &predictor_, &error);
    return Take(status, &error);
  }

  static std::vector<Item> Items(ty_engine_prediction *prediction) {
    std::vector<Item> items;
    for (size_t i = 0; i < Engine().prediction_size(prediction); ++i) {
      ty_engine_prediction_item raw = {};
      Engine().prediction_item(prediction, i, &raw);
      items.push_back({raw.path,
                       raw.error == nullptr ? "" : raw.error,
                       {raw.classes, raw.classes + raw.count},
                       {raw.probabilities, raw.probabilities + raw.count}});
    }
    Engine().prediction_free(prediction);
    return items;
  }
  std::vector<Item> Files(const std::vector<std::string> &paths, int32_t top_k) const {
    std::vector<const char *> names;
    for (const std::string &path : paths) names.push_back(path.c_str());
    ty_engine_prediction *prediction = nullptr;
    ty_engine_error error = {};
    const int32_t status =
        Engine().predictor_image_files(predictor_, names.data(), names.size(), top_k, &prediction, &error);
    const Answer answer = Take(status, &error);
    EXPECT_TRUE(answer.ok()) << answer.message;
    return Items(prediction);
  }
  std::vector<Item> Folder(const std::string &path) const {
    ty_engine_prediction *prediction = nullptr;
    ty_engine_error error = {};
    const int32_t status = Engine().predictor_folder(predictor_, path.c_str(), 3, &prediction, &error);
    const Answer answer = Take(status, &error);
    EXPECT_TRUE(answer.ok()) << answer.message;
    return Items(prediction);
  }
  Answer Tensor(const DLTensor &input, std::vector<float> *output) const {
    ty_engine_error error = {};
    const int32_t status = Engine().predictor_tensor(predictor_, &input, output->data(), output->size(), &error);
    return Take(status, &error);
  }
  std::string Image(const std::string &name) const { return JoinPath(data_, name); }

  TrainRun run_;
  ty_engine_predictor *predictor_ = nullptr;
};

DLTensor View(void *data, uint8_t code, uint8_t bits, int64_t *shape, int64_t *strides, int32_t ndim = 4) {
  DLTensor tensor = {};
  tensor.data = data;
  tensor.device = {kDLCPU, 0};
  tensor.ndim = ndim;
  tensor.dtype = {code, bits, 1};
  tensor.shape = shape;
  tensor.strides = strides;
  return tensor;
}

void ExpectClose(const std::vector<double> &wanted, const float *got) {
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(wanted[i], static_cast<double>(got[i]), 1e-5);
}

// Probabilities in the order of the classes.
std::vector<double> ByClass(const Item &item) {
  std::vector<double> values(item.classes.size());
  for (size_t i = 0; i < values.size(); ++i) values[static_cast<size_t>(item.classes[i])] = item.probabilities[i];
  return values;
}

TEST_F(PredictTest, ClassesHaveNames) {
  EXPECT_EQ(Engine().predictor_class_count(predictor_), 3);
  EXPECT_STREQ(Engine().predictor_class_name(predictor_, 2), "red");
  EXPECT_EQ(Engine().predictor_class_name(predictor_, 3), nullptr);
  EXPECT_EQ(Engine().predictor_class_name(predictor_, -1), nullptr);
}

TEST_F(PredictTest, TopKIsBestFirstAndSumsToOne) {
  const std::vector<Item> items = Files({Image("val/red/0.jpg")}, 10);
  ASSERT_EQ(items.size(), 1u);
  ASSERT_EQ(items[0].classes.size(), 3u);
  EXPECT_GE(items[0].probabilities[0], items[0].probabilities[1]);
  EXPECT_GE(items[0].probabilities[1], items[0].probabilities[2]);
  EXPECT_NEAR(items[0].probabilities[0] + items[0].probabilities[1] + items[0].probabilities[2], 1, 1e-6);
  EXPECT_EQ(Files({Image("val/red/0.jpg")}, 1)[0].classes.size(), 1u);
}

// Says that the best epoch's weights were written, and are read and run as in training.
TEST_F(PredictTest, TheFolderOfValidationImagesGivesTheAccuracyOfTraining) {
  const std::vector<Item> items = Folder(JoinPath(data_, "val"));
  ASSERT_EQ(items.size(), 6u);
  int correct = 0;
  for (const Item &item : items) {
    const std::string name = Engine().predictor_class_name(predictor_, item.classes[0]);
    correct += item.path.find("/" + name + "/") != std::string::npos ? 1 : 0;
  }
  EXPECT_DOUBLE_EQ(correct / 6.0, run_.metrics.at("best_val_accuracy").at(4));
}

TEST_F(PredictTest, AFolderNamesUnreadableImagesAndGoesOn) {
  WriteFileAtomic(Image("val/blue/00.jpg"), "no image");
  const std::vector<Item> items = Folder(JoinPath(data_, "val"));
  ASSERT_EQ(items.size(), 7u);
  for (const Item &item : items) {
    EXPECT_EQ(item.error.empty(), item.path != Image("val/blue/00.jpg")) << item.path;
    EXPECT_EQ(item.classes.size(), item.error.empty() ? 3u : 0u);
  }
  for (size_t i = 1; i < items.size(); ++i) EXPECT_LT(items[i - 1].path, items[i].path);
}

TEST_F(PredictTest, FloatTensorsInAnyLayoutGiveTheFilesAnswer) {
  const std::vector<double> wanted = ByClass(Files({Image("val/red/1.jpg")}, 3)[0]);
  image::TransformConfig config;
  config.resize = 72;
  config.crop = 64;
  std::vector<float> planes(config.floats());
  image::Transformer(config).LoadEval(Image("val/red/1.jpg"), planes.data());
  std::vector<float> output(3);
  int64_t shape[] = {1, 3, 64, 64};
  ASSERT_TRUE(Tensor(View(planes.data(), kDLFloat, 32, shape, nullptr), &output).ok());
  ExpectClose(wanted, output.data());

  // Channels last, seen through strides, behind an offset, with a gap after each row.
  constexpr int64_t kRow = 64 * 3 + 5;
  std::vector<float> pixels(7 + 64 * kRow, std::numeric_limits<float>::quiet_NaN());
  for (int64_t y = 0; y < 64; ++y) {
    for (int64_t x = 0; x < 64; ++x) {
      for (int64_t c = 0; c < 3; ++c)
        pixels[static_cast<size_t>(7 + y * kRow + x * 3 + c)] = planes[static_cast<size_t>((c * 64 + y) * 64 + x)];
    }
  }
  int64_t strides[] = {64 * kRow, 1, kRow, 3};
  DLTensor strided = View(pixels.data(), kDLFloat, 32, shape, strides);
  strided.byte_offset = 7 * sizeof(float);
  ASSERT_TRUE(Tensor(strided, &output).ok());
  ExpectClose(wanted, output.data());
}

TEST_F(PredictTest, ByteTensorsAreResizedCroppedAndNormalised) {
  const std::string path = Image("val/green/1.jpg");
  const std::vector<double> wanted = ByClass(Files({path}, 3)[0]);
  const image::Image image = image::DecodeImageFile(path);
  // Twice the same image.
  std::vector<uint8_t> pixels(image.rgb.begin(), image.rgb.end());
  pixels.insert(pixels.end(), image.rgb.begin(), image.rgb.end());
  int64_t shape[] = {2, image.height, image.width, 3};
  std::vector<float> output(6);
  ASSERT_TRUE(Tensor(View(pixels.data(), kDLUInt, 8, shape, nullptr), &output).ok());
  ExpectClose(wanted, output.data());
  ExpectClose(wanted, output.data() + 3);
}

TEST_F(PredictTest, ManyThreadsShareOnePredictor) {
  const std::vector<std::string> paths = {Image("val/red/0.jpg"), Image("val/green/0.jpg"), Image("val/blue/0.jpg")};
  const std::vector<Item> wanted = Files(paths, 3);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 5; ++i) {
        const Item got = Files({paths[(t + i) % 3]}, 3)[0];
        const Item &want = wanted[(t + i) % 3];
        if (got.classes != want.classes || std::abs(got.probabilities[0] - want.probabilities[0]) > 1e-5) ++wrong;
      }
    });
  }
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(PredictTest, TensorsThatCannotBeUsedAreErrors) {
  std::vector<float> data(3 * 64 * 64);
  std::vector<float> output(3);
  int64_t shape[] = {1, 3, 64, 64};
  int64_t swapped[] = {1, 64, 64, 3};
  int64_t negative[] = {1, 3, -64, 64};
  int64_t backwards[] = {3 * 64 * 64, 64 * 64, 64, -1};
  int64_t huge[] = {int64_t{1} << 40, 3, int64_t{1} << 40, 64};
  int64_t two[] = {2, 3, 64, 64};
  int64_t none[] = {0, 3, 64, 64};
  int64_t tiny[] = {1, 3, 1, 1};
  EXPECT_EQ(Tensor(View(data.data(), kDLFloat, 64, shape, nullptr), &output).status, 9);
  EXPECT_EQ(Tensor(View(data.data(), kDLFloat, 32, shape, nullptr, 3), &output).status, 9);
  EXPECT_THAT(Tensor(View(data.data(), kDLFloat, 32, swapped, nullptr), &output).message, HasSubstr("[1, 64, 64, 3]"));
  EXPECT_EQ(Tensor(View(data.data(), kDLFloat, 32, negative, nullptr), &output).status, 1);
  EXPECT_EQ(Tensor(View(data.data(), kDLFloat, 32, shape, backwards), &output).status, 9);
  EXPECT_EQ(Tensor(View(data.data(), kDLFloat, 32, huge, nullptr), &output).status, 1);
  EXPECT_EQ(Tensor(View(nullptr, kDLFloat, 32, shape, nullptr), &output).status, 1);
  EXPECT_THAT(Tensor(View(data.data(), kDLFloat, 32, two, nullptr), &output).message, HasSubstr("need 6"));
  EXPECT_EQ(Tensor(View(data.data(), kDLFloat, 32, tiny, nullptr), &output).status, 9);
  EXPECT_THAT(Tensor(View(data.data(), kDLFloat, 32, tiny, nullptr), &output).message, HasSubstr("too small"));
  EXPECT_TRUE(Tensor(View(data.data(), kDLFloat, 32, none, nullptr), &output).ok());
  DLTensor cuda = View(data.data(), kDLFloat, 32, shape, nullptr);
  cuda.device = {kDLCUDA, 99};
  EXPECT_FALSE(Tensor(cuda, &output).ok());
}

TEST_F(PredictTest, AModelIsOpenedByDirectoryOrEitherFile) {
  EXPECT_TRUE(Open(JoinPath(At("model"), "model.json")).ok());
  EXPECT_TRUE(Open(JoinPath(At("model"), "model.safetensors"), nullptr).ok());
  EXPECT_EQ(Open(At("nothing")).status, 2);
  EXPECT_EQ(Open(data_).status, 2);
}

TEST_F(PredictTest, ADamagedModelIsAnErrorThatNamesTheFile) {
  const std::string json = ReadFile(JoinPath(At("model"), "model.json"));
  const auto write = [&](const std::string &text) { WriteFileAtomic(JoinPath(At("model"), "model.json"), text); };
  write("{");
  EXPECT_EQ(Open(At("model")).status, 8);
  EXPECT_THAT(Open(At("model")).message, HasSubstr("model.json"));
  write(Json::Parse(json, "json").Set("schema_version", 99).Dump());
  EXPECT_EQ(Open(At("model")).status, 10);
  write(json);
  const std::string weights = JoinPath(At("model"), "model.safetensors");
  WriteFileAtomic(weights, ReadFile(weights).substr(0, 5000));
  EXPECT_EQ(Open(At("model")).status, 8);
}

}  // namespace
}  // namespace trainyard
