// What a job finds in arrays: every type of number, what is learnt, which samples validate, and what is wrong with
// files.
#include <ATen/Functions.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine_torch/train/array_files.h"
#include "engine_torch/train/array_sets.h"
#include "engine_torch/train/new_model.h"
#include "engine_torch/weights/safetensors.h"
#include "util/error.h"
#include "util/hash.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Npy;
using testing::RawOf;
using testing::WriteArray;

class ArraySets : public ::testing::Test {
 protected:
  TrainSettings Settings(Task task) const {
    TrainSettings settings;
    settings.task = task;
    settings.arrays = path_;
    settings.architecture = "sequential";
    settings.mean = {0.5f, 0.25f, 0.125f};
    settings.std = {0.5f, 2.0f, 0.1f};
    return settings;
  }
  void Write(const std::string &name, const std::string &bytes) const {
    MakeDirs(path_);
    WriteFileAtomic(JoinPath(path_, name), bytes);
  }
  // Four samples of two values, in both parts.
  void WriteSmall(Task task) const {
    for (const std::string prefix : {"", "validation_"}) {
      WriteArray<float>(path_, prefix + "inputs", {4, 2}, {0, 1, 2, 3, 4, 5, 6, 7});
      if (task == Task::kClassification) WriteArray<int64_t>(path_, prefix + "targets", {4}, {1, 0, 1, 0});
      if (task == Task::kMultilabel) WriteArray<float>(path_, prefix + "targets", {4, 2}, {1, 0, 0, 1, 1, 1, 0, 0});
      if (task == Task::kRegression) WriteArray<float>(path_, prefix + "targets", {4}, {-1, 0.5f, 3, 2});
    }
  }
  std::string ErrorOf(const TrainSettings &settings) const {
    try {
      OpenArrays(settings);
    } catch (const Error &error) {
      EXPECT_EQ(error.details().at("code"), "data") << error.what();
      return error.what();
    }
    return "no error";
  }
  static std::vector<float> Floats(Dataset *dataset, size_t index) {
    std::vector<float> floats(static_cast<size_t>(dataset->SampleSize()));
    EXPECT_TRUE(dataset->NewReader()->Load(index, 1, 0, floats.data()));
    return floats;
  }

  TempDir directory_;
  std::string path_ = JoinPath(directory_.path(), "arrays");
};

TEST_F(ArraySets, TargetsStayWhatTheyWereChecked) {
  WriteSmall(Task::kClassification);
  const DataSets sets = OpenArrays(Settings(Task::kClassification));
  {
    std::fstream file(JoinPath(path_, "targets.npy"), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-8, std::ios::end);
    const int64_t beyond = 1000000;
    file.write(reinterpret_cast<const char *>(&beyond), sizeof beyond);
  }
  EXPECT_EQ(sets.train->ClassOf(3), 0);
  EXPECT_THAT(sets.train->ClassCounts(), ElementsAre(2, 2));
}

TEST_F(ArraySets, EveryTypeOfNumberBecomesFloats) {
  WriteSmall(Task::kClassification);
  const std::vector<std::pair<std::string, std::string>> files = {{"<f8", RawOf<double>({0, 1, 2, 3})},
                                                                  {"<f4", RawOf<float>({0, 1, 2, 3})},
                                                                  {"<f2", RawOf<uint16_t>({0, 0x3C00, 0x4000, 0x4200})},
                                                                  {"<i8", RawOf<int64_t>({0, 1, 2, 3})},
                                                                  {"<i4", RawOf<int32_t>({0, 1, 2, 3})},
                                                                  {"<i2", RawOf<int16_t>({0, 1, 2, 3})},
                                                                  {"|i1", RawOf<int8_t>({0, 1, 2, 3})},
                                                                  {"<u8", RawOf<uint64_t>({0, 1, 2, 3})},
                                                                  {"<u4", RawOf<uint32_t>({0, 1, 2, 3})},
                                                                  {"<u2", RawOf<uint16_t>({0, 1, 2, 3})},
                                                                  {"|u1", RawOf<uint8_t>({0, 1, 2, 3})}};
  for (const auto &[descr, bytes] : files) {
    for (const char *name : {"inputs.npy", "validation_inputs.npy"}) Write(name, Npy(descr, "(2, 2)", bytes));
    WriteArray<int64_t>(path_, "targets", {2}, {1, 0});
    WriteArray<int64_t>(path_, "validation_targets", {2}, {0, 1});
    const DataSets sets = OpenArrays(Settings(Task::kClassification));
    EXPECT_THAT(Floats(sets.train.get(), 1), ElementsAre(2, 3)) << descr;
    EXPECT_THAT(sets.train->SampleShape(), ElementsAre(2));
  }
}

TEST_F(ArraySets, BytesOfThreeChannelsAreImages) {
  const std::vector<uint8_t> bytes = {0, 255, 10, 20, 100, 200};  // red, green, blue of two pixels
  for (const char *name : {"inputs", "validation_inputs"}) WriteArray<uint8_t>(path_, name, {1, 3, 2, 1}, bytes);
  for (const char *name : {"targets", "validation_targets"}) WriteArray<int64_t>(path_, name, {1}, {0});
  TrainSettings settings = Settings(Task::kClassification);
  settings.architecture = "resnet18";
  const DataSets images = OpenArrays(settings);
  EXPECT_TRUE(images.train->normalises_bytes());
  // As torch: (x / 255 - mean) / std, in float; the three channels of a pixel lie together.
  const at::Tensor wanted = (at::tensor({0, 255, 10, 20, 100, 200}, at::kFloat).view({3, 2}) / 255 -
                             at::tensor({0.5f, 0.25f, 0.125f}).view({3, 1})) /
                            at::tensor({0.5f, 2.0f, 0.1f}).view({3, 1});
  const std::vector<float> floats = Floats(images.train.get(), 0);
  EXPECT_TRUE(at::equal(at::tensor(floats).view({2, 3}).t(), wanted));
  const at::Tensor batch = images.train->NewBatch(2, false);
  EXPECT_EQ(batch.sizes().vec(), (std::vector<int64_t>{2, 3, 2, 1}));
  EXPECT_EQ(batch.stride(1), 1);

  settings.architecture = "sequential";
  EXPECT_THAT(Floats(OpenArrays(settings).train.get(), 0), ElementsAre(0, 10, 100, 255, 20, 200));
  settings.architecture = "mlp";
  const DataSets values = OpenArrays(settings);
  EXPECT_FALSE(values.train->normalises_bytes());
  EXPECT_THAT(values.train->SampleShape(), ElementsAre(6));
  EXPECT_THAT(Floats(values.train.get(), 0), ElementsAre(0, 255, 10, 20, 100, 200));
}

TEST_F(ArraySets, FloatsOfThreeDimensionsAreTakenAsTheyAre) {
  for (const char *name : {"inputs", "validation_inputs"}) {
    WriteArray<float>(path_, name, {1, 2, 1, 3}, {0, 1, 2, 10, 11, 12});
  }
  for (const char *name : {"targets", "validation_targets"}) WriteArray<int64_t>(path_, name, {1}, {0});
  const DataSets sets = OpenArrays(Settings(Task::kClassification));
  EXPECT_THAT(Floats(sets.train.get(), 0), ElementsAre(0, 10, 1, 11, 2, 12));
}

TEST_F(ArraySets, TargetsAreWhatTheTaskLearns) {
  WriteSmall(Task::kClassification);
  const DataSets classes = OpenArrays(Settings(Task::kClassification));
  EXPECT_TRUE(at::equal(classes.train->Targets({2, 1}), at::tensor({1, 0}, at::kLong)));
  EXPECT_THAT(classes.train->classes(), ElementsAre("0", "1"));
  EXPECT_THAT(classes.train->ClassCounts(), ElementsAre(2, 2));
  EXPECT_EQ(classes.validation->NameOf(3), "validation_inputs[3]");

  WriteSmall(Task::kMultilabel);
  const DataSets labels = OpenArrays(Settings(Task::kMultilabel));
  EXPECT_TRUE(at::equal(labels.train->Targets({2, 0}), at::tensor({1.0f, 1.0f, 1.0f, 0.0f}).view({2, 2})));
  EXPECT_THAT(labels.train->ClassCounts(), ElementsAre(2, 2));
  EXPECT_EQ(labels.train->TruthOf(1, 1), 1);

  WriteSmall(Task::kRegression);
  const DataSets numbers = OpenArrays(Settings(Task::kRegression));
  EXPECT_TRUE(at::equal(numbers.train->Targets({1, 2}), at::tensor({0.5f, 3.0f}).view({2, 1})));
  EXPECT_THAT(numbers.train->classes(), ElementsAre("value"));
  for (const char *name : {"targets", "validation_targets"}) {
    WriteArray<double>(path_, name, {4, 2}, {0, 1, 2, 3, 4, 5, 6, 7.5});
  }
  const DataSets two = OpenArrays(Settings(Task::kRegression));
  EXPECT_THAT(two.train->classes(), ElementsAre("0", "1"));
  EXPECT_EQ(two.train->TruthOf(3, 1), 7.5);
  Write("classes.json", R"(["force", "torque"])");
  EXPECT_THAT(OpenArrays(Settings(Task::kRegression)).train->classes(), ElementsAre("force", "torque"));
}

TEST_F(ArraySets, ASafetensorsFileIsTheSameAsADirectory) {
  WriteSmall(Task::kClassification);
  const std::string floats = RawOf<float>({0, 1, 2, 3, 4, 5, 6, 7}), integers = RawOf<int64_t>({1, 0, 1, 0});
  std::vector<NamedTensor> tensors;
  for (const std::string prefix : {"", "validation_"}) {
    tensors.push_back({prefix + "inputs", DType::kFloat32, {4, 2}, {}, AsBytes(floats)});
    tensors.push_back({prefix + "targets", DType::kInt64, {4}, {}, AsBytes(integers)});
  }
  tensors.push_back({"other", DType::kInt64, {4}, {}, AsBytes(integers)});
  TrainSettings settings = Settings(Task::kClassification);
  settings.arrays = JoinPath(directory_.path(), "a.safetensors");
  WriteSafetensors(settings.arrays, tensors, {{"classes", R"(["off", "on"])"}});
  const DataSets file = OpenArrays(settings), directory = OpenArrays(Settings(Task::kClassification));
  EXPECT_THAT(file.train->classes(), ElementsAre("off", "on"));
  EXPECT_THAT(file.notes, ElementsAre(HasSubstr("'other' is ignored")));
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(Floats(file.train.get(), i), Floats(directory.train.get(), i));
    EXPECT_EQ(file.validation->ClassOf(i), directory.validation->ClassOf(i));
  }
}

TEST_F(ArraySets, AShareOfEachClassIsSetApartByTheHashOfItsIndex) {
  WriteArray<float>(path_, "inputs", {20, 1}, std::vector<float>(20, 1));
  std::vector<int64_t> classes;
  for (int64_t i = 0; i < 20; ++i) classes.push_back(i % 4 == 0 ? 1 : 0);
  WriteArray<int64_t>(path_, "targets", {20}, classes);
  TrainSettings settings = Settings(Task::kClassification);
  settings.seed = 7;
  settings.validation_fraction = 0.25;
  const DataSets sets = OpenArrays(settings);
  std::vector<std::string> wanted;
  for (const int64_t one : {0, 1}) {
    std::vector<std::pair<std::string, size_t>> order;
    for (size_t i = 0; i < 20; ++i) {
      if (classes[i] == one) order.emplace_back(Sha256Hex("7\n" + std::to_string(i)), i);
    }
    std::sort(order.begin(), order.end());
    // floor(15 * 0.25 + 0.5), floor(5 * 0.25 + 0.5)
    for (size_t i = 0; i < (one == 0 ? 4u : 1u); ++i) {
      wanted.push_back("inputs[" + std::to_string(order[i].second) + "]");
    }
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < sets.validation->size(); ++i) names.push_back(sets.validation->NameOf(i));
  EXPECT_THAT(names, ::testing::UnorderedElementsAreArray(wanted));
  EXPECT_EQ(sets.train->size(), 15u);
  EXPECT_THAT(sets.train->ClassCounts(), ElementsAre(11, 4));
}

TEST_F(ArraySets, SamplesAreDrawnByTheirWeightsOrTheirClasses) {
  WriteArray<float>(path_, "inputs", {4, 1}, {0, 1, 2, 3});
  WriteArray<int64_t>(path_, "targets", {4}, {0, 0, 0, 1});
  WriteArray<float>(path_, "validation_inputs", {1, 1}, {0});
  WriteArray<int64_t>(path_, "validation_targets", {1}, {0});
  TrainSettings settings = Settings(Task::kClassification);
  settings.sampling = Sampling::kWeighted;
  const double third = 1.0 / 3;
  EXPECT_THAT(OpenArrays(settings).weights, ElementsAre(third, third, third, 1));
  WriteArray<double>(path_, "weights", {4}, {0, 2, 0.5, 1});
  EXPECT_THAT(OpenArrays(settings).weights, ElementsAre(0, 2, 0.5, 1));
  settings.sampling = Sampling::kShuffle;
  EXPECT_THAT(OpenArrays(settings).notes, ElementsAre(HasSubstr("is ignored: it is for data.sampling weighted")));
  settings.sampling = Sampling::kWeighted;
  WriteArray<double>(path_, "weights", {4}, {0, 2, -1, 1});
  EXPECT_THAT(ErrorOf(settings), HasSubstr("weights.npy' has -1 at [2]"));
  WriteArray<double>(path_, "weights", {4}, {0, 0, 0, 0});
  EXPECT_THAT(ErrorOf(settings), HasSubstr("add up to 0"));
  WriteArray<double>(path_, "weights", {3}, {1, 1, 1});
  EXPECT_THAT(ErrorOf(settings), HasSubstr("is float64 [3], and there are 4 samples"));
}

TEST_F(ArraySets, ASampleThatIsNotFiniteIsBad) {
  WriteSmall(Task::kClassification);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  WriteArray<float>(path_, "inputs", {4, 2}, {0, 1, 2, nan, 4, 5, 6, 7});
  const DataSets sets = OpenArrays(Settings(Task::kClassification));
  std::vector<float> floats(2);
  EXPECT_FALSE(sets.train->NewReader()->Load(1, 1, 0, floats.data()));
  EXPECT_TRUE(sets.train->NewReader()->Load(2, 1, 0, floats.data()));
  ASSERT_EQ(sets.train->bad().size(), 1u);
  EXPECT_THAT(sets.train->bad().at(1), HasSubstr("inputs.npy': sample 1 has a value that is not finite"));
  WriteArray<double>(path_, "inputs", {4, 2}, {0, 1, 2, 3, 4, 1e300, 6, 7});
  EXPECT_FALSE(OpenArrays(Settings(Task::kClassification)).train->NewReader()->Load(2, 1, 0, floats.data()));
}

TEST_F(ArraySets, RanksTellOtherArraysFromTheSame) {
  WriteSmall(Task::kRegression);
  const auto checksum = [&] { return OpenArrays(Settings(Task::kRegression)).train->Checksum(0); };
  const uint32_t before = checksum();
  EXPECT_EQ(checksum(), before);
  WriteArray<float>(path_, "targets", {4}, {-1, 0.5f, 3, 2.5f});
  EXPECT_NE(checksum(), before);
  WriteSmall(Task::kRegression);
  WriteArray<float>(path_, "inputs", {4, 2}, {0, 1, 2, 3, 4, 5, 6, 8});
  EXPECT_NE(checksum(), before);
}

TEST_F(ArraySets, WhatIsWrongIsSaidWithFileArrayAndWhatToDo) {
  const float infinity = std::numeric_limits<float>::infinity();
  struct Case {
    Task task;
    std::function<void()> spoil;
    std::vector<std::string> message;
  };
  const auto remove = [&](const char *name) { RemoveTree(JoinPath(path_, name)); };
  const std::vector<Case> cases = {
      {Task::kClassification,
       [&] {
         remove("targets.npy");
         Write("target.npy", "");
       },
       {"has no file 'targets.npy'; it has target.npy"}},
      {Task::kClassification, [&] { Write("inputs.npy", "1,2\n"); }, {"inputs.npy' is not a .npy file"}},
      {Task::kClassification,
       [&] {
         WriteArray<float>(path_, "inputs", {4}, {1, 2, 3, 4});
       },
       {"inputs.npy' is float32 [4], and inputs are [samples, values]", "reshape"}},
      {Task::kClassification,
       [&] {
         WriteArray<float>(path_, "inputs", {0, 2}, {});
       },
       {"inputs.npy' has no samples"}},
      {Task::kClassification,
       [&] {
         WriteArray<float>(path_, "inputs", {3, 1}, {1, 2, 3});
       },
       {"inputs.npy' has 3 samples, and", "targets.npy' has 4"}},
      {Task::kClassification,
       [&] {
         WriteArray<float>(path_, "targets", {4}, {0, 1, 0, 1});
       },
       {"targets.npy' is float32 [4], and classes are integers", "set task regression"}},
      {Task::kClassification,
       [&] {
         WriteArray<int64_t>(path_, "targets", {4, 2}, {0, 1, 0, 1, 0, 1, 0, 1});
       },
       {"is int64 [4, 2], and each sample has one class", "argmax"}},
      {Task::kClassification,
       [&] {
         WriteArray<int64_t>(path_, "targets", {4}, {0, 1, -3, 1});
       },
       {"targets.npy' has -3 at [2]: classes are numbers from 0 on"}},
      {Task::kClassification,
       [&] {
         WriteArray<int64_t>(path_, "targets", {4}, {0, 1, 9, 1});
       },
       {"has the class 9, and there are only 4 training samples"}},
      {Task::kClassification,
       [&] {
         WriteArray<int64_t>(path_, "targets", {4}, {0, 2, 2, 0});
       },
       {"targets.npy' has no training sample of 1: number the classes from 0 without gaps"}},
      {Task::kClassification, [&] { Write("classes.json", R"(["one"])"); }, {"names 1 classes", "has 2"}},
      {Task::kMultilabel,
       [&] {
         WriteArray<float>(path_, "targets", {4, 2}, {0, 1, 0, 1, 2, 0, 1, 1});
       },
       {"targets.npy' has 2 at [2, 0]"}},
      {Task::kMultilabel,
       [&] {
         WriteArray<float>(path_, "targets", {4, 2}, {0, 1, 0, 1, 0, 0, 0, 1});
       },
       {"has no training sample of 0: leave the column out"}},
      {Task::kRegression,
       [&] {
         WriteArray<float>(path_, "targets", {4}, {0, infinity, 0, 1});
       },
       {"targets.npy' has", "at [1]: what is learnt must be finite"}},
      {Task::kRegression,
       [&] {
         WriteArray<float>(path_, "targets", {4, 1, 1}, {0, 1, 2, 3});
       },
       {"targets are [samples] or [samples, outputs]"}},
      {Task::kRegression,
       [&] {
         WriteArray<float>(path_, "validation_targets", {4, 2}, std::vector<float>(8));
       },
       {"validation_targets.npy' is float32 [4, 2], and that of training float32 [4]"}},
      {Task::kRegression,
       [&] {
         WriteArray<float>(path_, "validation_inputs", {4, 1}, std::vector<float>(4));
       },
       {"validation_inputs.npy' is float32 [4, 1]", "of the same shape"}},
      {Task::kRegression, [&] { remove("validation_targets.npy"); }, {"validation_targets.npy' is not: add it"}},
      {Task::kRegression,
       [&] {
         remove("validation_targets.npy");
         remove("validation_inputs.npy");
       },
       {"has no samples to validate with", "data.validation_fraction"}},
  };
  for (const Case &one : cases) {
    RemoveTree(path_);
    WriteSmall(one.task);
    ASSERT_EQ(ErrorOf(Settings(one.task)), "no error");
    one.spoil();
    for (const std::string &part : one.message) EXPECT_THAT(ErrorOf(Settings(one.task)), HasSubstr(part));
  }
  WriteSmall(Task::kRegression);
  TrainSettings settings = Settings(Task::kRegression);
  settings.validation_fraction = 0.5;
  EXPECT_THAT(ErrorOf(settings), HasSubstr("'data.validation_fraction' would take training samples"));
  settings.arrays = JoinPath(path_, "inputs.npy");
  EXPECT_THAT(ErrorOf(settings), HasSubstr("give the directory that has inputs.npy and targets.npy"));
  settings.arrays = JoinPath(path_, "none");
  EXPECT_THAT(ErrorOf(settings), HasSubstr("'data.arrays': '" + settings.arrays + "' does not exist"));
}

TEST(NewModel, BatchNormsNeedTwoSamplesAtOnce) {
  TrainSettings settings;
  settings.arrays = "/a";
  settings.architecture = "sequential";
  settings.layers = R"([{"type":"linear","out":4},{"type":"batch_norm"},{"type":"linear","out":2}])";
  settings.batch_size = 8;
  const auto model = NewModel(settings, {5}, 2);
  EXPECT_NO_THROW(CheckSteps(*model, settings, 16));
  EXPECT_NO_THROW(CheckSteps(*model, settings, 18));
  EXPECT_THROW(CheckSteps(*model, settings, 17), Error);
  settings.micro_batch_size = 3;
  EXPECT_NO_THROW(CheckSteps(*model, settings, 8));
  EXPECT_THROW(CheckSteps(*model, settings, 12), Error) << "three and one";
  settings.micro_batch_size = 0;
  settings.layers = R"([{"type":"linear","out":2}])";
  EXPECT_NO_THROW(CheckSteps(*NewModel(settings, {5}, 2), settings, 17));
}

TEST(NewModel, FitsTheSamplesAndTheTargets) {
  TrainSettings settings;
  settings.arrays = "/a";
  settings.architecture = "mlp";
  settings.outputs = 1;
  settings.hidden = {8};
  settings.activation = "relu";
  EXPECT_EQ(NewModel(settings, {5}, 3)->num_classes(), 3);
  const auto error = [](const TrainSettings &wrong, const std::vector<int64_t> &shape, int64_t outputs) {
    try {
      NewModel(wrong, shape, outputs);
    } catch (const Error &caught) {
      return std::string(caught.what());
    }
    return std::string("no error");
  };
  TrainSettings wrong = settings;
  wrong.inputs = 4;
  EXPECT_THAT(error(wrong, {5}, 3), HasSubstr("'model.inputs' is 4, and a sample has 5 values"));
  wrong = settings;
  wrong.outputs = 2;
  EXPECT_THAT(error(wrong, {5}, 3), HasSubstr("'model.outputs' is 2, and the targets ask for 3"));
  wrong = settings;
  wrong.architecture = "sequential";
  wrong.layers = R"([{"type":"linear","out":2}])";
  EXPECT_THAT(error(wrong, {5}, 3), HasSubstr("'model.layers' ends with 2 outputs, and the targets ask for 3"));
  EXPECT_THAT(error(wrong, {4, 5}, 2), HasSubstr("does model.layers begin with {\"type\":\"flatten\"}?"));
  wrong.layers = R"([{"type":"flatten"},{"type":"linear","out":2}])";
  EXPECT_EQ(error(wrong, {4, 5}, 2), "no error");
  wrong.layers = R"([{"type":"relu"},{"type":"linear","out":2}])";
  EXPECT_THAT(error(wrong, {1, 4}, 2), HasSubstr("makes [1, 2] of a sample of shape [1, 4]"));
  wrong.architecture = "resnet18";
  EXPECT_THAT(error(wrong, {5}, 2), HasSubstr("resnet18 takes samples of shape [3, height, width]"));
  EXPECT_EQ(error(wrong, {3, 40, 50}, 2), "no error");
  wrong.architecture = "vit_b_16";
  EXPECT_THAT(error(wrong, {3, 40, 50}, 2), HasSubstr("takes samples of shape [3, 224, 224] only"));
}

}  // namespace
}  // namespace trainyard
