// Whole trainings of two ranks through the plug-in, started by mpirun (engine_driver), against the same of one process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "engine_torch/train/array_files.h"
#include "engine_torch/train/engine_fixture.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

class RanksTrainTest : public EngineTest {
 protected:
  struct Result {
    int status = 0;
    Json json = Json::Object();
    std::string log;
  };

  // Two ranks; `prefix` stands before the driver's command line, in a shell of each rank.
  Result TrainOnTwo(const std::string &name, const Json &config, const std::string &prefix = "") const {
    MakeDirs(At(name));
    WriteFileAtomic(At(name + ".json"), config.Dump());
    WriteFileAtomic(At(name + ".sh"), prefix +
                                          "\nexec " TRAINYARD_ENGINE_DRIVER " " TRAINYARD_TORCH_LIB_DIR
                                          " " TRAINYARD_ENGINE_PATH " " +
                                          At(name + ".json") + " \"\" " + At(name) + "\n");
    const std::string line = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 " TRAINYARD_MPIRUN
                             " -np 2 --oversubscribe --bind-to none sh " +
                             At(name + ".sh") + " >" + At(name + ".out") + " 2>" + At(name + ".log");
    Result result;
    result.status = std::system(line.c_str());
    result.log = ReadFile(At(name + ".log"));
    const std::string out = ReadFile(At(name + ".out"));
    if (result.status == 0) result.json = Json::Parse(out, "driver");
    return result;
  }
  static std::vector<double> Values(const TrainRun &run, const char *name) {
    std::vector<double> values;
    for (const auto &[step, value] : run.metrics.at(name)) values.push_back(value);
    return values;
  }
  void ExpectSame(const Json &two, const Json &one, double tolerance) const {
    const Result result = TrainOnTwo("two", two);
    ASSERT_EQ(result.status, 0) << result.log;
    const TrainRun alone = Run("one", one);
    ASSERT_TRUE(alone.answer.ok()) << alone.answer.message;
    for (const auto &[mine, metric] : {std::pair<const char *, const char *>{"train_loss", "train/loss"},
                                       {"val_loss", "val/loss"},
                                       {"val_accuracy", "val/accuracy"}}) {
      const std::vector<double> got = result.json.Get(mine).AsDoubleList(), expected = Values(alone, metric);
      ASSERT_EQ(got.size(), expected.size()) << metric;
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_NEAR(got[i], expected[i], tolerance) << metric << " of epoch " << i + 1;
    }
    EXPECT_THAT(result.log, HasSubstr("all 2 ranks have the same weights"));
  }
};

TEST_F(RanksTrainTest, HaveTheLossesOfOneProcessWithTheDoubledBatch) {
  // A backbone in evaluation mode: nothing depends on how the images are shared out.
  const Json config = Changed(Config(data_), {{"model.architecture", "resnet18"},
                                              {"model.mode", "feature"},
                                              {"model.cache_features", 2},
                                              {"train.epochs", 3}});
  ExpectSame(Changed(config, {{"train.batch_size", 2}}), Changed(config, {{"train.batch_size", 4}}), 1e-5);
}

TEST_F(RanksTrainTest, OnArraysHaveThemToo) {
  const std::string path = At("arrays");
  testing::Noise noise(9);
  for (const char *prefix : {"", "validation_"}) {
    const std::string before = prefix;
    testing::WriteArray<float>(path, before + "inputs", {16, 4}, noise.Many(64));
    testing::WriteArray<float>(path, before + "targets", {16, 2}, noise.Many(32));
  }
  const Json config =
      Changed(Config(""),
              {{"data.arrays", path}, {"task", "regression"}, {"model.architecture", "mlp"}, {"optimizer.lr", 0.1}});
  const Result two = TrainOnTwo("two", Changed(config, {{"train.batch_size", 4}}));
  ASSERT_EQ(two.status, 0) << two.log;
  EXPECT_THAT(two.log, HasSubstr("all 2 ranks have the same weights"));
  EXPECT_THAT(two.log, HasSubstr("a step has 4 samples on each"));
  const TrainRun one = Run("one", Changed(config, {{"train.batch_size", 8}}));
  ASSERT_TRUE(one.answer.ok()) << one.answer.message;
  const std::vector<double> got = two.json.Get("val_loss").AsDoubleList(), alone = Values(one, "val/loss");
  ASSERT_EQ(got.size(), alone.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], alone[i], 1e-5);
}

TEST_F(RanksTrainTest, TellTheAreaUnderTheCurveOfAllTheirImages) {
  const std::string data = At("of two classes");
  MakeImages(data, 4, 4);
  for (const char *part : {"train", "val"}) RemoveTree(JoinPath(JoinPath(data, part), "red"));
  const Json config = Changed(Config(data), {{"model.architecture", "resnet18"},
                                             {"model.mode", "feature"},
                                             {"model.cache_features", 1},
                                             {"train.epochs", 1}});
  const Result result = TrainOnTwo("two", Changed(config, {{"train.batch_size", 2}}));
  ASSERT_EQ(result.status, 0) << result.log;
  const TrainRun alone = Run("one", Changed(config, {{"train.batch_size", 4}}));
  ASSERT_TRUE(alone.answer.ok()) << alone.answer.message;
  EXPECT_EQ(result.json.Get("val_roc_auc").AsDoubleList(), Values(alone, "val/roc_auc"));
  EXPECT_NE(Values(alone, "val/roc_auc").at(0), 0.5) << "which is what ties would give, too";
}

TEST_F(RanksTrainTest, HaveThemWithSynchronisedBatchNormsToo) {
  // One epoch: rounding grows fast in batch norms over few values (parallel/learner_test.cc has it in double).
  const Json config = Changed(Config(data_), {{"model.architecture", "resnet18"},
                                              {"train.sync_batch_norm", true},
                                              {"optimizer.lr", 1e-4},
                                              {"train.epochs", 1}});
  ExpectSame(Changed(config, {{"train.batch_size", 2}}), Changed(config, {{"train.batch_size", 4}}), 1e-3);
}

TEST_F(RanksTrainTest, ResumedTheyEndWithTheSameBits) {
  // Dropout, batch norms of each rank's own and a checkpoint amid an epoch.
  for (const char *architecture : {"squeezenet1_1", "resnet18"}) {
    const std::string name = architecture;
    const Json config = Changed(Config(data_), {{"model.architecture", architecture},
                                                {"train.batch_size", 2},
                                                {"checkpoint.every_steps", 2},
                                                {"checkpoint.keep", 100}});
    ASSERT_EQ(TrainOnTwo(name + "_whole", Changed(config, {{"train.epochs", 3}})).status, 0);
    MakeDirs(At(name + "_resumed"));
    const std::string checkpoint = "/checkpoint-000001-000002.safetensors";
    WriteFileAtomic(At(name + "_resumed") + checkpoint, ReadFile(At(name + "_whole") + checkpoint));
    const Result resumed = TrainOnTwo(name + "_resumed", Changed(config, {{"train.epochs", 3}}));
    ASSERT_EQ(resumed.status, 0) << resumed.log;
    EXPECT_THAT(resumed.log, HasSubstr("resuming after epoch 1 and 2 steps"));
    EXPECT_TRUE(ModelBytes(name + "_resumed") == ModelBytes(name + "_whole")) << name;
    EXPECT_TRUE(ReadFile(At(name + "_resumed") + "/checkpoint-000003.safetensors") ==
                ReadFile(At(name + "_whole") + "/checkpoint-000003.safetensors"))
        << name;
  }
}

TEST_F(RanksTrainTest, OneThatHasToMakeRoomTakesTheOtherAlongAndBothGoOn) {
  const Json config = Changed(Config(data_), {{"train.batch_size", 2}, {"train.epochs", 8}});
  ASSERT_EQ(TrainOnTwo("whole", config).status, 0);
  const std::string prefix = "if [ $OMPI_COMM_WORLD_RANK = 1 ]; then me=$$; (until ls " + At("left") +
                             "/checkpoint-* >/dev/null 2>&1; do sleep 0.01; done; kill -TERM $me) & fi";
  const Result left = TrainOnTwo("left", config, prefix);
  EXPECT_NE(left.status, 0);
  EXPECT_THAT(left.log, HasSubstr("with a checkpoint to go on from (left)"));
  const Result resumed = TrainOnTwo("left", config);
  ASSERT_EQ(resumed.status, 0) << resumed.log;
  EXPECT_THAT(resumed.log, HasSubstr("resuming after epoch"));
  EXPECT_TRUE(ModelBytes("left") == ModelBytes("whole"));
}

TEST_F(RanksTrainTest, ACheckpointOfAnotherNumberOfRanksIsRefused) {
  const Json config = Changed(Config(data_), {{"train.epochs", 1}});
  ASSERT_EQ(TrainOnTwo("a", config).status, 0);
  TrainRun alone;
  alone.Train(config, At("b"), At("a"));
  EXPECT_FALSE(alone.answer.ok());
  EXPECT_EQ(alone.answer.code, "checkpoint");
  EXPECT_THAT(alone.answer.message, HasSubstr("a number of ranks of 2, and this job has 1"));
}

TEST_F(RanksTrainTest, ImagesThatDoNotDivideAreRepeatedToTrainAndCountedOnceToValidate) {
  WriteJpeg(JoinPath(data_, "train/red/extra.jpg"), 70, 70, 0, 77);
  WriteJpeg(JoinPath(data_, "val/red/extra.jpg"), 70, 70, 0, 78);
  WriteFileAtomic(JoinPath(data_, "train/red/broken.jpg"), "no image");
  const Json config = Changed(Config(data_), {{"model.architecture", "resnet18"},
                                              {"model.mode", "feature"},
                                              {"model.cache_features", 1},
                                              {"train.epochs", 1},
                                              {"train.batch_size", 3},
                                              {"optimizer.lr", 0},
                                              {"evaluate.batch_size", 2}});
  const Result two = TrainOnTwo("two", config);
  ASSERT_EQ(two.status, 0) << two.log;
  const TrainRun one = Run("one", config);
  ASSERT_TRUE(one.answer.ok()) << one.answer.message;
  // The head is the same one throughout: the validation's losses are those of 7 images, each once.
  EXPECT_NEAR(two.json.Get("val_loss").AsDoubleList().at(0), one.metrics.at("val/loss").at(1), 1e-5);
  EXPECT_NEAR(two.json.Get("val_accuracy").AsDoubleList().at(0), one.metrics.at("val/accuracy").at(1), 1e-9);
  EXPECT_THAT(two.log, HasSubstr("broken.jpg"));
}

TEST_F(RanksTrainTest, GoBackTogetherAndFailTogether) {
  const Json config = Changed(Config(data_), {{"train.nan_policy", "rollback"},
                                              {"train.epochs", 3},
                                              {"schedule.name", "multistep"},
                                              {"schedule.gamma", 1e35},
                                              {"schedule.milestones", Json::Parse("[1]", "list")}});
  const Result result = TrainOnTwo("a", config);
  EXPECT_NE(result.status, 0);
  EXPECT_THAT(result.log, HasSubstr("back to epoch 2, step 1, with the learning rate times 0.5"));
  EXPECT_THAT(result.log, HasSubstr("also after going back 5 times"));
}

TEST_F(RanksTrainTest, RanksWithOtherImagesAreRefused) {
  const std::string other = At("other");
  MakeImages(other, 5, 2);
  // Rank 1's shell puts another data set in the place that the settings name.
  const Json config = Changed(Config(At("link$OMPI_COMM_WORLD_RANK")), {});
  const std::string prefix =
      "sed s/.OMPI_COMM_WORLD_RANK/$OMPI_COMM_WORLD_RANK/ " + At("a.json") + " >" + At("a.json") +
      ".$OMPI_COMM_WORLD_RANK\nln -sfn " + data_ + " " + At("link0") + "; ln -sfn " + other + " " + At("link1") +
      "\nset -- " + At("a.json") + ".$OMPI_COMM_WORLD_RANK\n" +
      "exec " TRAINYARD_ENGINE_DRIVER " " TRAINYARD_TORCH_LIB_DIR " " TRAINYARD_ENGINE_PATH " $1 \"\" " + At("a");
  const Result result = TrainOnTwo("a", config, prefix);
  EXPECT_NE(result.status, 0);
  EXPECT_THAT(result.log, HasSubstr("the ranks do not see the same images"));
}

TEST_F(RanksTrainTest, TheOthersEndWhenOneIsKilled) {
  // Far more epochs than anybody waits for; the second rank's shell kills it when training has begun.
  const std::string prefix = "if [ $OMPI_COMM_WORLD_RANK = 1 ]; then me=$$; (until ls " + At("a") +
                             "/checkpoint-* >/dev/null 2>&1; do sleep 0.1; done; kill -9 $me) & fi";
  const Result result = TrainOnTwo("a", Changed(Config(data_), {{"train.epochs", 1000000}}), prefix);
  EXPECT_NE(result.status, 0);
  EXPECT_THAT(result.log, HasSubstr("signal 9"));
}

TEST_F(RanksTrainTest, WithoutMpirunTheyAreRefused) {
  TrainRun run;
  run.world_size = 2;
  run.Train(Config(data_), At("a"), At("a_checkpoints"));
  EXPECT_THAT(run.answer.message, HasSubstr("were not started by mpirun"));
}

}  // namespace
}  // namespace trainyard
