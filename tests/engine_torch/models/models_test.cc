#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <torch/utils.h>
#include <algorithm>

#include <cstdlib>
#include <regex>

#include "core/train_config.h"
#include "engine_torch/models/load.h"
#include "engine_torch/weights/expect_error.h"
#include "engine_torch/weights/file_builders.h"
#include "engine_torch/weights/safetensors.h"
#include "util/text.h"

namespace trainyard {
namespace {

torch::Tensor Parameter(const ImageClassifier *model, const std::string &name) {
  return model->named_parameters()[name];
}

torch::Tensor ImagesFor(const Architecture &architecture, int64_t count) {
  if (architecture.image_size > 0) return torch::randn({count, 3, architecture.image_size, architecture.image_size});
  return torch::randn({count, 3, 64, 96});
}

// The head of a Vision Transformer starts with zeros, which would hide what comes before.
void RandomiseHead(ImageClassifier *model) {
  const torch::NoGradGuard no_grad;
  Parameter(model, model->head_path() + ".weight").normal_(0.0, 0.1);
}

TEST(RegistryTest, EveryModelRunsAndNamesItsHead) {
  const torch::NoGradGuard no_grad;
  for (const Architecture &architecture : Architectures()) {
    SCOPED_TRACE(architecture.name);
    torch::manual_seed(1);
    const std::shared_ptr<ImageClassifier> model = MakeModel(architecture.name, 5);
    RandomiseHead(model.get());
    model->eval();
    EXPECT_EQ(model->name(), architecture.name);
    EXPECT_EQ(model->head_path(), architecture.head);
    EXPECT_EQ(model->num_classes(), 5);
    EXPECT_EQ(FingerprintOf(*model), architecture.fingerprint) << "for the table";
    const torch::Tensor images = ImagesFor(architecture, 2);
    const torch::Tensor features = model->features(images);
    const torch::Tensor kept = features.clone();
    const torch::Tensor logits = model->forward(images);
    EXPECT_EQ(logits.sizes(), (std::vector<int64_t>{2, 5}));
    EXPECT_TRUE(torch::equal(model->head(features), logits));
    EXPECT_TRUE(torch::equal(features, kept)) << "the head works in place";
    EXPECT_FALSE(torch::equal(logits[0], logits[1]));
    EXPECT_EQ(Parameter(model.get(), model->head_path() + ".weight").size(0), 5);
    // Channels last, as training has them: the same numbers from another order in memory.
    for (torch::Tensor parameter : model->parameters()) {
      if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(torch::MemoryFormat::ChannelsLast));
    }
    const torch::Tensor other = model->forward(images.contiguous(torch::MemoryFormat::ChannelsLast));
    // Sums in another order: the error goes with the largest logit, not with each.
    EXPECT_LE((other - logits).abs().max().item<double>(), 1e-4 * logits.abs().max().item<double>());
  }
}

TEST(RegistryTest, NamesTheNearestModel) {
  EXPECT_ERROR(Status::kNotFound, MakeModel("resnet81", 2), "'resnet81'", "did you mean 'resnet18'", "squeezenet1_1");
  EXPECT_ERROR(Status::kInvalidArgument, MakeModel("resnet18", 0), "at least one class");
}

TEST(RegistryTest, TheSettingHasTheSameModels) {
  std::vector<std::string> names;
  for (const Architecture &architecture : Architectures()) names.emplace_back(architecture.name);
  for (const char *of_arrays : {"mlp", "sequential"}) names.emplace_back(of_arrays);
  const auto &settings = TrainConfig::Settings();
  const auto setting = std::find_if(settings.begin(), settings.end(),
                                    [](const Setting &one) { return one.key == "model.architecture"; });
  ASSERT_NE(setting, settings.end());
  EXPECT_EQ(setting->choices, Join(names, "|"));
}

TEST(RegistryTest, AVisionTransformerTakesImagesOfOneSize) {
  const std::shared_ptr<ImageClassifier> model = MakeModel("vit_b_16", 2);
  EXPECT_ERROR(Status::kUnsupported, model->features(torch::zeros({1, 3, 224, 256})),
               "vit_b_16 takes images of 224 x 224 pixels, not 256 x 224");
  EXPECT_ERROR(Status::kInvalidArgument, CheckCrop(FindArchitecture("vit_b_16"), 192), "set transform.crop to 224");
  CheckCrop(FindArchitecture("vit_b_16"), 224);
  CheckCrop(FindArchitecture("resnet18"), 192);
}

TEST(ClassifierTest, FreezeLeavesOnlyTheHeadTrainable) {
  for (const Architecture &architecture : Architectures()) {
    const std::shared_ptr<ImageClassifier> model = architecture.make(2);
    FreezeBackbone(model.get());
    std::vector<std::string> trainable;
    for (const auto &parameter : model->named_parameters()) {
      if (parameter.value().requires_grad()) trainable.push_back(parameter.key());
    }
    EXPECT_THAT(trainable, ::testing::ElementsAre(model->head_path() + ".weight", model->head_path() + ".bias"));
  }
}

TEST(ClassifierTest, APureBackboneGivesAnImageTheSameFeaturesInAnyBatchAndAtAnyTime) {
  const torch::NoGradGuard no_grad;
  std::vector<std::string> pure;
  for (const Architecture &architecture : Architectures()) {
    const std::shared_ptr<ImageClassifier> model = architecture.make(2);
    if (HasPureBackbone(*model)) pure.emplace_back(architecture.name);
    // The scale of ConvNeXt's blocks hides them at the start.
    for (const auto &parameter : model->named_parameters()) {
      if (parameter.key().ends_with("layer_scale")) parameter.value().fill_(1.0);
    }
    model->train();
    torch::manual_seed(1);
    const torch::Tensor images = ImagesFor(architecture, 4);
    const torch::Tensor batch = model->features(images).narrow(0, 0, 2);
    const torch::Tensor alone = model->features(images.narrow(0, 0, 2));
    EXPECT_EQ(HasPureBackbone(*model), torch::allclose(batch, alone, 1e-4, 1e-5)) << architecture.name;
  }
  EXPECT_THAT(pure, ::testing::ElementsAre("squeezenet1_0", "squeezenet1_1", "vit_b_16"));
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
    SCOPED_TRACE(architecture.name);
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

TEST_F(LoadTest, ANewHeadLeavesTheRestOfEveryModelAlone) {
  for (const Architecture &architecture : Architectures()) {
    SCOPED_TRACE(architecture.name);
    const std::shared_ptr<ImageClassifier> model = architecture.make(5);
    std::vector<std::pair<std::string, torch::Tensor>> before;
    for (const auto &parameter : model->named_parameters()) before.emplace_back(parameter.key(), parameter.value());
    model->ResetHead(3);
    EXPECT_EQ(model->num_classes(), 3);
    const auto &after = model->named_parameters();
    ASSERT_EQ(after.size(), before.size());
    for (const auto &[name, tensor] : before) {
      ASSERT_NE(after.find(name), nullptr) << name;
      EXPECT_EQ(after[name].is_same(tensor), !model->IsHead(name)) << name;
    }
    EXPECT_EQ(Parameter(model.get(), model->head_path() + ".bias").size(0), 3);
    model->eval();
    const torch::NoGradGuard no_grad;
    EXPECT_EQ(model->forward(ImagesFor(architecture, 1)).sizes(), (std::vector<int64_t>{1, 3}));
  }
}

TEST_F(LoadTest, UnderstandsTheNamesOfOlderVersions) {
  struct Old {
    const char *architecture, *now, *then;
  };
  for (const Old &old :
       {Old{"densenet121", "(denselayer[0-9]+[.](norm|conv))([12][.])", "$1.$3"},
        Old{"vit_b_16", "mlp[.]0[.]", "mlp.linear_1."}, Old{"vit_b_16", "mlp[.]3[.]", "mlp.linear_2."}}) {
    size_t renamed = 0;
    const TensorFile file = Changed(Save(old.architecture, 2), [&](NamedTensor *tensor) {
      const std::string then = std::regex_replace(tensor->name, std::regex(old.now), old.then);
      renamed += then != tensor->name ? 1 : 0;
      tensor->name = then;
      return true;
    });
    EXPECT_GE(renamed, 24u);
    const std::shared_ptr<ImageClassifier> model = MakeModel(old.architecture, 2);
    EXPECT_FALSE(LoadWeights(model.get(), file).head_replaced);
    EXPECT_EQ(ArchitectureOf(file)->name, std::string(old.architecture));
  }
}

TEST_F(LoadTest, SaysWhichModelTheWeightsAreOf) {
  const std::filesystem::path path = Save("resnet18", 7);
  const std::shared_ptr<ImageClassifier> model = MakeModel("resnet34", 7);
  const torch::Tensor before = Parameter(model.get(), "conv1.weight").clone();
  EXPECT_ERROR(Status::kInvalidArgument, LoadWeights(model.get(), OpenWeights(path), {.allow_head_mismatch = true}),
               "does not fit resnet34: 80 missing", "layer1.2.", "...", "these look like resnet18 weights");
  EXPECT_ERROR(Status::kInvalidArgument, LoadWeights(MakeModel("squeezenet1_1", 7).get(), OpenWeights(path)),
               "missing (features.0.weight", "unexpected (bn1.bias", "these look like resnet18 weights");
  EXPECT_ERROR(Status::kInvalidArgument, LoadWeights(MakeModel("vit_b_16", 7).get(), OpenWeights(path)),
               "missing (class_token", "unexpected (bn1.bias", "these look like resnet18 weights");
  EXPECT_ERROR(Status::kInvalidArgument, LoadWeights(model.get(), OpenWeights(Save("mobilenet_v3_small", 7))),
               "missing (conv1.weight", "unexpected (classifier.0.bias", "these look like mobilenet_v3_small weights");
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
