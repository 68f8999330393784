// The tutorial's job on its real images, when they are there: the accuracy that is expected of it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "engine_torch/train/engine_fixture.h"

namespace trainyard {
namespace {

TEST(Accuracy, SqueezeNetFeaturesOnAntsAndBees) {
  const char *given = std::getenv("TRAINYARD_SHARED");
  const std::string shared = given != nullptr && *given != 0 ? given : TRAINYARD_SOURCE_DIR "/../shared";
  const std::string data = shared + "/data/hymenoptera/hymenoptera_data";
  const std::string weights = shared + "/data/squeezenet1_1-imagenet-caffe.safetensors";
  if (!PathExists(data) || !PathExists(weights)) GTEST_SKIP() << "SKIP: no " << data;
  const TempDir directory;
  TrainRun run;
  run.Train(Changed(Config(data), {{"transform.resize", 256},
                                   {"transform.crop", 224},
                                   {"transform.scale_minimum", 0.08},
                                   {"model.architecture", "squeezenet1_1"},
                                   {"model.mode", "feature"},
                                   {"train.epochs", 10},
                                   {"train.seed", 0},
                                   {"optimizer.lr", 0.001},
                                   {"data.workers", 0},
                                   {"threads", 0}}),
            directory.path(), directory.path(), weights);
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  EXPECT_GE(run.metrics.at("best_val_accuracy").at(10), 0.90);
}

}  // namespace
}  // namespace trainyard
