// Exports of weights through the plug-in's seam, from a model that a training job left. What Python reads of them:
// predict/loaded_model_parity.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <memory>

#include "engine_torch/train/engine_fixture.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

class ExportTest : public EngineTest {
 protected:
  static void SetUpTestSuite() {
    shared_ = std::make_unique<TempDir>();
    const std::string images = JoinPath(shared_->path(), "images");
    MakeImages(images, 2, 1);
    TrainRun run;
    run.Train(Changed(Config(images), {{"train.epochs", 1}}), Model(), JoinPath(shared_->path(), "checkpoints"));
    ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  }
  static void TearDownTestSuite() { shared_.reset(); }

  static std::string Model() { return JoinPath(shared_->path(), "model"); }
  static std::string Weights() { return JoinPath(Model(), "model.safetensors"); }
  static std::string Checkpoint() { return JoinPath(shared_->path(), "checkpoints/checkpoint-000001.safetensors"); }

  static Answer Export(const std::string &model, const char *format, const std::string &out) {
    ty_engine_error error = {};
    const int32_t status = Engine().export_weights(model.c_str(), format, out.c_str(), &error);
    return Take(status, &error);
  }

  static void ExpectSameTensors(const std::string &one, const std::string &other) {
    const TensorFile wanted = OpenWeights(one);
    const TensorFile got = OpenWeights(other);
    ASSERT_EQ(got.tensors.size(), wanted.tensors.size());
    for (const NamedTensor &tensor : wanted.tensors) {
      const NamedTensor *found = got.Find(tensor.name);
      ASSERT_NE(found, nullptr) << tensor.name;
      EXPECT_EQ(found->dtype, tensor.dtype);
      EXPECT_EQ(found->shape, tensor.shape);
      EXPECT_EQ(ContiguousBytes(*found), ContiguousBytes(tensor)) << tensor.name;
    }
  }

  static inline std::unique_ptr<TempDir> shared_;
};

TEST_F(ExportTest, AStateDictHoldsTheModelsTensors) {
  const std::string out = At("model.pth");
  for (const std::string &model : {Model(), JoinPath(Model(), "model.json"), Weights()}) {
    const Answer answer = Export(model, "state_dict", out);
    ASSERT_TRUE(answer.ok()) << answer.message;
    EXPECT_EQ(OpenWeights(out).format, "torch zip");
    ExpectSameTensors(Weights(), out);
  }
}

TEST_F(ExportTest, FormsAreTurnedIntoEachOther) {
  ASSERT_TRUE(Export(Model(), "state_dict", At("a.pth")).ok());
  ASSERT_TRUE(Export(At("a.pth"), "safetensors", At("b.safetensors")).ok());
  ASSERT_TRUE(Export(At("b.safetensors"), "state_dict", At("c.pth")).ok());
  ExpectSameTensors(Weights(), At("b.safetensors"));
  ExpectSameTensors(Weights(), At("c.pth"));
  // In place of what it is read from.
  ASSERT_TRUE(Export(At("c.pth"), "state_dict", At("c.pth")).ok());
  ExpectSameTensors(Weights(), At("c.pth"));
}

TEST_F(ExportTest, AnExportedModelPredictsTheSame) {
  ASSERT_TRUE(Export(Model(), "state_dict", JoinPath(Model(), "exported.pth")).ok());
  const std::string image = JoinPath(data_, "val/red/0.jpg");
  const char *const path = image.c_str();
  std::vector<std::vector<double>> answers;
  for (const std::string &model : {Model(), JoinPath(Model(), "exported.pth")}) {
    ty_engine_predictor *predictor = nullptr;
    ty_engine_prediction *prediction = nullptr;
    ty_engine_error error = {};
    ASSERT_EQ(Engine().predictor_open(model.c_str(), "cpu", &predictor, &error), 0) << error.message;
    EXPECT_STREQ(Engine().predictor_class_name(predictor, 2), "red");
    ASSERT_EQ(Engine().predictor_image_files(predictor, &path, 1, 3, &prediction, &error), 0) << error.message;
    ty_engine_prediction_item item = {};
    Engine().prediction_item(prediction, 0, &item);
    answers.emplace_back(item.probabilities, item.probabilities + item.count);
    Engine().prediction_free(prediction);
    Engine().predictor_free(predictor);
  }
  EXPECT_EQ(answers[0], answers[1]);
}

TEST_F(ExportTest, ACheckpointBecomesADict) {
  const std::string out = At("checkpoint.pth");
  const Answer answer = Export(Checkpoint(), "checkpoint", out);
  ASSERT_TRUE(answer.ok()) << answer.message;
  const TensorFile written = OpenWeights(out);
  EXPECT_EQ(written.state_dict_key, "model");
  EXPECT_THAT(written.other_keys, ::testing::ElementsAre("optimizer"));
  for (const NamedTensor &tensor : OpenWeights(Checkpoint()).tensors) {
    if (!tensor.name.starts_with("model.")) continue;
    const NamedTensor *found = written.Find(tensor.name.substr(6));
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(ContiguousBytes(*found), ContiguousBytes(tensor)) << tensor.name;
  }
  EXPECT_THAT(Export(Checkpoint(), "state_dict", out).message, HasSubstr("is a checkpoint"));
  EXPECT_EQ(Export(Weights(), "checkpoint", out).status, 8);
  std::string bytes = ReadFile(Checkpoint());
  bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 1);
  WriteFileAtomic(At("damaged.safetensors"), bytes);
  EXPECT_THAT(Export(At("damaged.safetensors"), "checkpoint", out).message, HasSubstr("does not match: it is damaged"));
}

TEST_F(ExportTest, ErrorsSayWhatIsWrongAndWriteNothing) {
  const std::string out = At("out");
  EXPECT_EQ(Export(At("nothing"), "state_dict", out).status, 2);
  EXPECT_EQ(Export(data_, "state_dict", out).status, 2);
  const Answer script = Export(Model(), "torchscript", out);
  EXPECT_EQ(script.status, 9);
  EXPECT_THAT(script.message, HasSubstr("model.safetensors' holds weights and no code"));
  const Answer unknown = Export(Model(), "state-dict", out);
  EXPECT_EQ(unknown.status, 1);
  EXPECT_THAT(unknown.message, HasSubstr("did you mean 'state_dict'"));
  EXPECT_EQ(Export(Model(), "state_dict", At("no/such/file")).status, 2);
  EXPECT_FALSE(PathExists(out));
  ty_engine_error error = {};
  EXPECT_EQ(Take(Engine().export_weights(nullptr, "state_dict", out.c_str(), &error), &error).status, 1);
}

TEST_F(ExportTest, AFullDiskKeepsTheOldFile) {
  const std::string disk = At("disk");
  MakeDirs(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=1m") != 0) GTEST_SKIP() << "SKIP: may not mount a tmpfs";
  const std::string out = JoinPath(disk, "model.pth");
  WriteFileAtomic(out, "old");
  for (const char *format : {"state_dict", "safetensors"}) {
    const Answer answer = Export(Model(), format, out);
    EXPECT_EQ(answer.status, 6) << answer.message;
    EXPECT_EQ(answer.code, "no_space");
    EXPECT_EQ(ReadFile(out), "old");
    EXPECT_EQ(ListDir(disk).size(), 1u);
  }
  umount2(disk.c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace trainyard
