#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/utils.h>

#include <cstdlib>

#include "engine_torch/models/load.h"
#include "engine_torch/weights/expect_error.h"
#include "engine_torch/weights/file_builders.h"
#include "engine_torch/weights/safetensors.h"

namespace trainyard {
namespace {

torch::Tensor Parameter(const ImageClassifier *model, const std::string &name) {
  return model->named_parameters()[name];
}

TEST(RegistryTest, EveryModelRunsAndNamesItsHead) {
  const torch::NoGradGuard no_grad;
  for (const Architecture &architecture : Architectures()) {
    const std::shared_ptr<ImageClassifier> model = MakeModel(architecture.name, 5);
    model->eval();
    EXPECT_EQ(model->name(), architecture.name);
    EXPECT_EQ(model->head_path(), architecture.head);
    const torch::Tensor images = torch::randn({2, 3, 64, 96});
    const torch::Tensor features = model->features(images);
    const torch::Tensor logits = model->forward(images);
    EXPECT_EQ(logits.sizes(), (std::vector<int64_t>{2, 5}));
    EXPECT_TRUE(torch::equal(model->head(features), logits));
    const auto &parameters = model->named_parameters();
    EXPECT_NE(parameters.find(std::string(architecture.head) + ".weight"), nullptr);
    EXPECT_EQ(parameters[std::string(architecture.head) + ".weight"].size(0), 5);
  }
}

TEST(RegistryTest, NamesTheNearestModel) {
  EXPECT_ERROR(Status::kNotFound, MakeModel("resnet81", 2), "'resnet81'", "did you mean 'resnet18'", "squeezenet1_1");
  EXPECT_ERROR(Status::kInvalidArgument, MakeModel("resnet18", 0), "at least one class");
}

TEST(ClassifierTest, FreezeLeavesOnlyTheHeadTrainable) {
  for (const char *name : {"squeezenet1_1", "resnet18"}) {
    const std::shared_ptr<ImageClassifier> model = MakeModel(name, 2);
    FreezeBackbone(model.get());
    std::vector<std::string> trainable;
    for (const auto &parameter : model->named_parameters()) {
      if (parameter.value().requires_grad()) trainable.push_back(parameter.key());
    }
    EXPECT_THAT(trainable, ::testing::ElementsAre(model->head_path() + ".weight", model->head_path() + ".bias"));
  }
}

class LoadTest : public ::testing::Test {
 protected:
  std::filesystem::path Save(const std::string &name, int64_t classes) const {
    SaveWeights(*MakeModel(name, classes), directory_ / (name + ".safetensors"), {{"architecture", name}});
    return directory_ / (name + ".safetensors");
  }
  // Rewrites the tensors of a file.
  template <typename Change>
  TensorFile Changed(const std::filesystem::path &path, Change change) const {
    TensorFile file = OpenWeights(path);
    std::erase_if(file.tensors, [&](NamedTensor &tensor) { return !change(&tensor); });
    return file;
  }

  testing::TempDirectory directory_;
};

TEST_F(LoadTest, RoundTripsEveryModel) {
  for (const Architecture &architecture : Architectures()) {
    const std::shared_ptr<ImageClassifier> saved = MakeModel(architecture.name, 3);
    const std::filesystem::path path = directory_ / "m.safetensors";
    SaveWeights(*saved, path);
    const std::shared_ptr<ImageClassifier> loaded = MakeModel(architecture.name, 3);
    const TensorFile file = OpenWeights(path);
    EXPECT_FALSE(LoadWeights(loaded.get(), file).head_replaced);
    EXPECT_EQ(ArchitectureOf(file), &architecture);
    EXPECT_EQ(ClassesOf(file, architecture), 3);
    for (const auto &parameter : saved->named_parameters()) {
      EXPECT_TRUE(torch::equal(parameter.value(), loaded->named_parameters()[parameter.key()])) << parameter.key();
    }
  }
}

TEST_F(LoadTest, AFileTellsWhichModelItHolds) {
  const std::filesystem::path path = Save("resnet18", 3);
  TensorFile file = OpenWeights(path);
  const std::shared_ptr<ImageClassifier> model = ModelOf(file);
  EXPECT_EQ(model->name(), "resnet18");
  EXPECT_EQ(model->num_classes(), 3);
  const torch::Tensor conv1 = Parameter(model.get(), "conv1.weight");
  EXPECT_EQ(std::memcmp(conv1.data_ptr(), file.Find("conv1.weight")->data.data(), conv1.nbytes()), 0);
  file.model_class = "torchvision.models.resnet.ResNet";
  EXPECT_EQ(ModelOf(file)->name(), "resnet18");
  file.model_class = "__main__.Net";
  EXPECT_ERROR(Status::kUnsupported, ModelOf(file), "__main__.Net", "torch.jit.script");
  EXPECT_ERROR(Status::kUnsupported,
               ModelOf(Changed(path, [](NamedTensor *tensor) { return !tensor->name.starts_with("fc."); })),
               "resnet18 without its last layer, fc");
  EXPECT_ERROR(Status::kUnsupported,
               ModelOf(Changed(path, [](NamedTensor *tensor) { return tensor->name != "bn1.bias"; })), "no known model",
               "squeezenet1_1");
}

TEST_F(LoadTest, ReplacesTheHeadForAnotherNumberOfClasses) {
  const std::filesystem::path path = Save("resnet18", 10);
  const std::shared_ptr<ImageClassifier> model = MakeModel("resnet18", 2);
  const TensorFile file = OpenWeights(path);
  EXPECT_ERROR(Status::kInvalidArgument, LoadWeights(model.get(), file), "fc.weight 10x512 instead of 2x512");
  model->eval();
  EXPECT_TRUE(LoadWeights(model.get(), file, {.allow_head_mismatch = true}).head_replaced);
  EXPECT_FALSE(model->is_training());
  EXPECT_EQ(Parameter(model.get(), "fc.weight").sizes(), (std::vector<int64_t>{2, 512}));
  const torch::Tensor conv1 = Parameter(model.get(), "conv1.weight");
  EXPECT_EQ(std::memcmp(conv1.data_ptr(), file.Find("conv1.weight")->data.data(), conv1.nbytes()), 0);
  const TensorFile headless = Changed(path, [](NamedTensor *tensor) { return !tensor->name.starts_with("fc."); });
  EXPECT_TRUE(LoadWeights(model.get(), headless, {.allow_head_mismatch = true}).head_replaced);
}

TEST_F(LoadTest, SaysWhichModelTheWeightsAreOf) {
  const std::filesystem::path path = Save("resnet18", 7);
  const std::shared_ptr<ImageClassifier> model = MakeModel("resnet34", 7);
  const torch::Tensor before = Parameter(model.get(), "conv1.weight").clone();
  EXPECT_ERROR(Status::kInvalidArgument, LoadWeights(model.get(), OpenWeights(path), {.allow_head_mismatch = true}),
               "does not fit resnet34: 80 missing", "layer1.2.", "...", "these look like resnet18 weights");
  EXPECT_ERROR(Status::kInvalidArgument, LoadWeights(MakeModel("squeezenet1_1", 7).get(), OpenWeights(path)),
               "missing (features.0.weight", "unexpected (bn1.bias", "these look like resnet18 weights");
  EXPECT_TRUE(torch::equal(before, Parameter(model.get(), "conv1.weight")));
}

TEST_F(LoadTest, AFailureLeavesTheRandomNumbersAlone) {
  const TensorFile file = OpenWeights(Save("resnet18", 7));
  const std::shared_ptr<ImageClassifier> model = MakeModel("squeezenet1_1", 7);
  torch::manual_seed(3);
  const double first = torch::rand({1}).item<double>();
  torch::manual_seed(3);
  EXPECT_ERROR(Status::kInvalidArgument, LoadWeights(model.get(), file), "resnet18");
  EXPECT_EQ(torch::rand({1}).item<double>(), first);
}

TEST_F(LoadTest, ConvertsTypesAndFollowsStridesAndMisalignment) {
  const std::filesystem::path path = Save("squeezenet1_1", 4);
  std::string half;
  std::string unaligned;
  const TensorFile file = Changed(path, [&](NamedTensor *tensor) {
    if (tensor->name == "features.0.bias") {
      for (size_t i = 0; i < 64; ++i) half += testing::Raw(uint16_t{0x3c00});  // 1.0
      tensor->dtype = DType::kFloat16;
      tensor->data = AsBytes(half);
    } else if (tensor->name == "features.3.squeeze.weight") {
      tensor->strides = {1, 16, 1, 1};
    } else if (tensor->name == "features.3.squeeze.bias") {
      unaligned = "x" + testing::Floats(16);
      tensor->data = AsBytes(unaligned).subspan(1);
    }
    return true;
  });
  const std::shared_ptr<ImageClassifier> model = MakeModel("squeezenet1_1", 4);
  LoadWeights(model.get(), file);
  EXPECT_TRUE(torch::equal(Parameter(model.get(), "features.0.bias"), torch::ones({64})));
  EXPECT_TRUE(torch::equal(Parameter(model.get(), "features.3.squeeze.bias"), torch::arange(16).to(torch::kFloat32)));
  const torch::Tensor stored =
      torch::from_blob(const_cast<std::byte *>(file.Find("features.3.squeeze.weight")->data.data()), {64, 16, 1, 1});
  EXPECT_TRUE(torch::equal(Parameter(model.get(), "features.3.squeeze.weight"), stored.transpose(0, 1)));
}

TEST_F(LoadTest, AcceptsOldFilesAndRefusesQuantisedOnes) {
  const std::filesystem::path path = Save("resnet18", 2);
  const TensorFile old =
      Changed(path, [](NamedTensor *tensor) { return !tensor->name.ends_with("num_batches_tracked"); });
  LoadWeights(MakeModel("resnet18", 2).get(), old);
  std::string bytes(64, 'x');
  const TensorFile quantised = Changed(path, [&](NamedTensor *tensor) {
    if (tensor->name == "bn1.weight") {
      tensor->dtype = DType::kInt8;
      tensor->data = AsBytes(bytes);
    }
    return true;
  });
  EXPECT_ERROR(Status::kInvalidArgument, LoadWeights(MakeModel("resnet18", 2).get(), quantised),
               "bn1.weight has dtype int8");
}

TEST_F(LoadTest, LoadsThePretrainedSqueezeNet) {
  const char *shared = std::getenv("TRAINYARD_SHARED");
  const std::filesystem::path path =
      std::filesystem::path(shared != nullptr ? shared : TRAINYARD_SOURCE_DIR "/../shared") / "data" /
      "squeezenet1_1-imagenet-caffe.safetensors";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "SKIP: " << path << " is not there";
  const TensorFile file = OpenWeights(path);
  EXPECT_FALSE(LoadWeights(MakeModel("squeezenet1_1", 1000).get(), file).head_replaced);
  EXPECT_TRUE(LoadWeights(MakeModel("squeezenet1_1", 2).get(), file, {.allow_head_mismatch = true}).head_replaced);
}

}  // namespace
}  // namespace trainyard
