// What images a job has and in which order it visits them: splits, weights, draws; and how labels and numbers are
// scored.
#include <ATen/Functions.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "engine_torch/train/answers.h"
#include "engine_torch/train/image_dataset.h"
#include "engine_torch/train/image_sets.h"
#include "engine_torch/train/sampler.h"
#include "util/error.h"
#include "util/fs.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

image::ImageFolder FolderOf(const std::vector<int> &images_of_class) {
  image::ImageFolder folder;
  folder.root = "/set";
  for (size_t c = 0; c < images_of_class.size(); ++c) {
    folder.classes.push_back("c" + std::to_string(c));
    for (int i = 0; i < images_of_class[c]; ++i) {
      image::Sample sample;
      sample.path = "/set/" + folder.classes.back() + "/" + std::to_string(i) + ".jpg";
      sample.label = static_cast<int64_t>(c);
      folder.samples.push_back(sample);
    }
  }
  return folder;
}

std::set<std::string> PathsOf(const image::ImageFolder &folder) {
  std::set<std::string> paths;
  for (const image::Sample &sample : folder.samples) paths.insert(image::RelativeName(folder, sample));
  return paths;
}

TEST(SetApart, TakesAShareOfEachClassWhateverTheOrder) {
  image::ImageFolder train = FolderOf({10, 5, 2, 1}), validation;
  const std::set<std::string> all = PathsOf(train);
  image::ImageFolder reversed = train, other;
  std::reverse(reversed.samples.begin(), reversed.samples.end());
  reversed.root = "/elsewhere";
  for (image::Sample &sample : reversed.samples) sample.path = "/elsewhere" + sample.path.substr(4);
  SetApart(0.25, 7, &train, &validation);
  SetApart(0.25, 7, &reversed, &other);
  EXPECT_EQ(PathsOf(validation), PathsOf(other));
  // floor(2.5 + 0.5), floor(1.25 + 0.5), at least 1, none of one.
  EXPECT_THAT(ClassCounts(validation), ElementsAre(3, 1, 1, 0));
  EXPECT_THAT(ClassCounts(train), ElementsAre(7, 4, 1, 1));
  std::set<std::string> both = PathsOf(train);
  both.merge(PathsOf(validation));
  EXPECT_EQ(both, all);
  EXPECT_TRUE(std::is_sorted(train.samples.begin(), train.samples.end(), [](const auto &a, const auto &b) {
    return a.label < b.label;
  })) << "those that stay keep their order";
  EXPECT_EQ(validation.root, "/set");
  EXPECT_EQ(validation.classes, train.classes);

  image::ImageFolder again = FolderOf({10, 5, 2, 1}), another;
  SetApart(0.25, 8, &again, &another);
  EXPECT_NE(PathsOf(another), PathsOf(validation)) << "another seed";
  image::ImageFolder most = FolderOf({3}), rest;
  SetApart(0.99, 1, &most, &rest);
  EXPECT_THAT(rest.samples, SizeIs(2));
}

TEST(SamplingWeights, MakeClassesEquallyLikely) {
  EXPECT_THAT(SamplingWeights(FolderOf({2, 1}), false), ElementsAre(0.5, 0.5, 1));
  image::ImageFolder labels = FolderOf({0, 0});
  for (const std::vector<int32_t> &each : std::vector<std::vector<int32_t>>{{0}, {0, 1}, {}, {}}) {
    image::Sample sample;
    sample.label = -1;
    sample.labels = each;
    labels.samples.push_back(sample);
  }
  EXPECT_THAT(SamplingWeights(labels, false), ElementsAre(0.5, 1, 0.5, 0.5));
  labels.samples[2].weight = 0;
  EXPECT_THAT(SamplingWeights(labels, true), ElementsAre(1, 1, 0, 1));
  for (image::Sample &sample : labels.samples) sample.weight = 0;
  EXPECT_THROW(SamplingWeights(labels, true), Error);
  for (image::Sample &sample : labels.samples) sample.labels.clear();
  try {
    SamplingWeights(labels, false);
    ADD_FAILURE() << "no error";
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), HasSubstr("column 'weight'"));
  }
}

TEST(Sampler, WithoutWeightsEpochsAreShuffled) {
  const Sampler sampler(3, 20, {});
  EXPECT_EQ(sampler.Order(2), ShuffledOrder(3, 2, 20));
  EXPECT_FALSE(sampler.repeats());
}

TEST(Sampler, DrawsInProportionToTheWeights) {
  const std::vector<double> weights = {0, 1, 3, 0, 6, 0};
  const Sampler sampler(5, weights.size(), weights);
  EXPECT_EQ(sampler.Order(1), sampler.Order(1));
  EXPECT_NE(sampler.Order(1), sampler.Order(2));
  std::vector<int> drawn(weights.size());
  constexpr int kEpochs = 5000;
  for (uint32_t epoch = 1; epoch <= kEpochs; ++epoch) {
    const std::vector<size_t> order = sampler.Order(epoch);
    ASSERT_EQ(order.size(), weights.size());
    for (const size_t sample : order) ++drawn.at(sample);
  }
  const double all = kEpochs * static_cast<double>(weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    const double p = weights[i] / 10;
    // Five standard deviations.
    EXPECT_NEAR(drawn[i] / all, p, 5 * std::sqrt(p * (1 - p) / all)) << i;
  }
  EXPECT_THAT(Sampler::RepeatsIn({2, 4, 2, 2, 4, 1}, 6), ElementsAre(0, 0, 1, 2, 1, 0));
}

ImageDataset DatasetOf(const image::ImageFolder &folder, Task task) {
  return {folder, image::TransformConfig(), /*augment=*/false, 0, std::make_shared<MemoryBudget>(0), task};
}

std::map<std::string, double> Metrics(Task task, const Dataset &dataset, const Answers &answers) {
  std::map<std::string, double> values;
  for (const TaskMetric &metric : MetricsOf(task, dataset, answers)) values[metric.name] = metric.value;
  return values;
}

// What each metric is, report/task_metrics_test.cc says.
TEST(Answers, OfLabelsAreSetAgainstThoseOfTheImages) {
  image::ImageFolder folder = FolderOf({0, 0, 0});
  for (const std::vector<int32_t> &labels : std::vector<std::vector<int32_t>>{{0}, {0}, {0, 1}, {2}}) {
    image::Sample sample;
    sample.label = -1;
    sample.labels = labels;
    folder.samples.push_back(sample);
  }
  const ImageDataset dataset = DatasetOf(folder, Task::kMultilabel);
  Answers answers(4, 3);
  EXPECT_TRUE(answers.empty() && Metrics(Task::kMultilabel, dataset, answers).empty());
  // Batches in any order; the last image could not be read.
  answers.Add(at::tensor({-1.0f, 1.0f, -1.0f, 1.0f, -1.0f, -1.0f}).view({2, 3}), {2, 0});
  answers.Add(at::tensor({2.0f, 0.5f, -3.0f}).view({1, 3}), {1});
  EXPECT_THAT(answers.Samples(), ElementsAre(0, 1, 2));
  EXPECT_EQ(answers.Value(1, 1), 0.5f);
  const report::LabelMetrics metrics = LabelMetricsOf(dataset, answers);
  EXPECT_EQ(metrics.images, 3);
  EXPECT_EQ(metrics.all_right, 1);
  // Label 0: 2 right, 1 missed; label 1: 1 right, 1 wrongly told; label 2: never there.
  const std::map<std::string, double> values = Metrics(Task::kMultilabel, dataset, answers);
  EXPECT_DOUBLE_EQ(values.at("val/f1_micro"), 2.0 * 3 / (2.0 * 3 + 1 + 1));
  EXPECT_DOUBLE_EQ(values.at("val/f1_macro"), (4.0 / 5 + 2.0 / 3 + 0) / 3);
  EXPECT_DOUBLE_EQ(values.at("val/average_precision_macro"), (1 + 1) / 2.0);
  EXPECT_DOUBLE_EQ(values.at("val/roc_auc_macro"), 1) << "of label 1: of label 0 there is no image without";
  // What torch's binary_cross_entropy_with_logits makes of the image.
  const at::Tensor loss = at::binary_cross_entropy_with_logits(at::tensor({-1.0, 1.0, -1.0}, at::kDouble),
                                                               at::tensor({1.0, 1.0, 0.0}, at::kDouble));
  EXPECT_NEAR(ErrorOf(Task::kMultilabel, dataset, answers, 2), loss.item<double>(), 1e-12);
}

TEST(Answers, OfNumbersAreSetAgainstThoseOfTheImages) {
  image::ImageFolder folder = FolderOf({4});
  const std::vector<double> truth = {3, -0.5, 2, 7};
  for (size_t i = 0; i < 4; ++i) folder.samples[i].value = truth[i];
  const ImageDataset dataset = DatasetOf(folder, Task::kRegression);
  Answers answers(4, 1);
  // The example of r2_score's documentation.
  answers.Add(at::tensor({2.0f, 8.0f}).view({2, 1}), {2, 3});
  answers.Add(at::tensor({2.5f, 0.0f}).view({2, 1}), {0, 1});
  const std::map<std::string, double> values = Metrics(Task::kRegression, dataset, answers);
  EXPECT_NEAR(values.at("val/r2"), 0.948608137, 1e-9);
  EXPECT_DOUBLE_EQ(values.at("val/mae"), 0.5);
  EXPECT_DOUBLE_EQ(values.at("val/rmse"), std::sqrt(0.375));
  EXPECT_DOUBLE_EQ(ErrorOf(Task::kRegression, dataset, answers, 3), 1);
}

class ManifestSets : public testing::Test {
 protected:
  ImageSets Open(const std::string &text, TrainSettings settings) {
    settings.manifest = JoinPath(directory_.path(), "list.csv");
    WriteFileAtomic(settings.manifest, text);
    return OpenImages(settings);
  }
  std::string ErrorOf(const std::string &text, const TrainSettings &settings) {
    try {
      Open(text, settings);
    } catch (const Error &error) {
      EXPECT_EQ(error.details().at("code"), "data");
      return error.what();
    }
    ADD_FAILURE() << "no error";
    return "";
  }
  TempDir directory_;
};

TEST_F(ManifestSets, MeanWhatTheTaskSays) {
  TrainSettings settings;
  ImageSets sets = Open("path,label,split\na,x,train\nb,y,train\nc,x,val\nd,z,test\n", settings);
  EXPECT_THAT(sets.train.classes, ElementsAre("x", "y"));
  EXPECT_EQ(sets.train.samples[1].label, 1);
  EXPECT_EQ(sets.train.samples[1].path, JoinPath(directory_.path(), "b"));
  EXPECT_EQ(sets.validation.samples.at(0).label, 0);
  EXPECT_EQ(sets.test_images, 1);
  EXPECT_TRUE(sets.weights.empty());

  settings.task = Task::kMultilabel;
  sets = Open("path,label,split\na,x; y;x,train\nb,,train\nc,y,val\n", settings);
  EXPECT_THAT(sets.train.classes, ElementsAre("x", "y"));
  EXPECT_THAT(sets.train.samples[0].labels, ElementsAre(0, 1));
  EXPECT_TRUE(sets.train.samples[1].labels.empty());
  EXPECT_EQ(sets.train.samples[0].label, -1);
  EXPECT_THAT(ClassCounts(sets.train), ElementsAre(1, 1));

  settings.task = Task::kRegression;
  settings.sampling = Sampling::kWeighted;
  sets = Open("path,label,split,weight\na,-1.5,train,2\nb,3,train,\nc,2,val,9\n", settings);
  EXPECT_THAT(sets.train.classes, ElementsAre("value"));
  EXPECT_EQ(sets.train.samples[0].value, -1.5);
  EXPECT_THAT(sets.weights, ElementsAre(2, 1));
}

TEST_F(ManifestSets, ErrorsSayWhatToDo) {
  TrainSettings settings;
  EXPECT_THAT(ErrorOf("path,label,split\na,x,train\nb,y,val\n", settings), HasSubstr("no training image of y"));
  std::string many = "path,label,split\na,x,train\n";
  for (int i = 0; i < 30; ++i) many += "b" + std::to_string(i) + ",y" + std::to_string(i) + ",val\n";
  EXPECT_THAT(ErrorOf(many, settings), HasSubstr(" and 10 more: add some"));
  EXPECT_THAT(ErrorOf("path,label,split\na,x,val\n", settings), HasSubstr("no image to train on"));
  EXPECT_THAT(ErrorOf("path,label\na,x\n", settings), HasSubstr("set data.validation_fraction"));
  EXPECT_THAT(ErrorOf("path,label\na,\n", settings), HasSubstr("list.csv:2: column 'label' is empty"));
  settings.validation_fraction = 0.5;
  EXPECT_THAT(ErrorOf("path,label,split\na,x,train\nb,x,val\n", settings), HasSubstr("set it to 0"));
  EXPECT_THAT(ErrorOf("path,label\na,x\nb,y\n", settings), HasSubstr("no class has two images"));
  EXPECT_THAT(ErrorOf("path,label\na,0.5\nb,-1\n", settings), HasSubstr("set task regression"));
  EXPECT_THAT(ErrorOf("path,label\na,x;y\nb,x\n", settings), HasSubstr("set task multilabel"));
  EXPECT_THAT(Open("path,label\na,x\nb,x\n", settings).validation.samples, SizeIs(1));
  settings.task = Task::kRegression;
  EXPECT_THAT(ErrorOf("path,label\na,1\nb,tall\n", settings), HasSubstr("list.csv:3: column 'label' must be a finite"));
  EXPECT_THAT(ErrorOf("path,label\na,1e300\n", settings), HasSubstr("got '1e300'"));
  settings.sampling = Sampling::kWeighted;
  EXPECT_THAT(ErrorOf("path,label\na,1\nb,2\nc,3\n", settings), HasSubstr("column 'weight'"));
  settings.task = Task::kMultilabel;
  EXPECT_THAT(ErrorOf("path,label\na,\nb,\n", settings), HasSubstr("names no label"));
  EXPECT_THAT(ErrorOf("path,label\na,x;;y\n", settings), HasSubstr("has an empty name"));
}

}  // namespace
}  // namespace trainyard
