// A training job of many epochs must not grow with them.
#include <utility>

#include "engine_torch/train/engine_fixture.h"
#include "util/process_memory.h"

namespace trainyard {
namespace {

constexpr int64_t kEpochs = 400, kWarmUp = 100;
// What the fixture's host and the job keep of an epoch (metrics, a row of history, which is also in each checkpoint) is
// hundreds of bytes; a batch of images that stayed would be 12 KiB an epoch, and 3600 in all.
constexpr int64_t kBoundKib = 1024;

class MemoryTest : public testing::Test {
 protected:
  // 8 images of 32 x 32 to train on, 2 to validate with.
  void SetUp() override {
    for (const auto &[name, label] : {std::pair{"blue", 2}, std::pair{"red", 0}}) {
      for (int i = 0; i < 5; ++i) {
        const std::string directory = JoinPath(JoinPath(data_, i < 4 ? "train" : "val"), name);
        MakeDirs(directory);
        WriteJpeg(JoinPath(directory, std::to_string(i) + ".jpg"), 32, 32, label,
                  static_cast<uint32_t>(label * 10 + i));
      }
    }
  }

  TempDir directory_;
  std::string data_ = JoinPath(directory_.path(), "images");
};

TEST_F(MemoryTest, EpochsOfAJobKeepNothing) {
  const Json config = Changed(Config(data_), {{"train.epochs", Json(kEpochs)},
                                              {"transform.resize", Json(int64_t{32})},
                                              {"transform.crop", Json(int64_t{32})},
                                              {"optimizer.lr", Json(0.0001)},
                                              {"checkpoint.every_epochs", Json(int64_t{50})}});
  TrainRun run;
  int64_t epochs = 0, resident = 0, most = 0, resident_at_last = 0, most_at_last = 0;
  run.stop = [&] {
    const auto now = static_cast<int64_t>(run.metrics["val/loss"].size());
    if (now == epochs) return false;
    epochs = now;
    resident_at_last = ProcessMemoryKib("VmRSS");
    most_at_last = ProcessMemoryKib("VmHWM");
    if (epochs != kWarmUp) return false;
    resident = resident_at_last;
    most = most_at_last;
    return false;
  };
  run.Train(config, JoinPath(directory_.path(), "out"), JoinPath(directory_.path(), "checkpoints"));
  ASSERT_TRUE(run.answer.ok()) << run.answer.message;
  ASSERT_GE(epochs, kEpochs - 1);
  EXPECT_LE(resident_at_last - resident, kBoundKib) << "resident KiB beyond the " << resident;
  EXPECT_LE(most_at_last - most, kBoundKib) << "KiB at the most beyond the " << most;
}

}  // namespace
}  // namespace trainyard
