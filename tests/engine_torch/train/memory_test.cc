// A training job of many epochs must not grow with them.
#include <cstring>
#include <utility>

#include "engine_torch/train/engine_fixture.h"
#include "util/process_memory.h"

namespace trainyard {
namespace {

constexpr int64_t kEpochs = 300, kWarmUp = 100;
// What the job keeps of an epoch (a row of history, which is also in each checkpoint) is less than 100 bytes. A batch
// of images that stayed would be 12 KiB an epoch, 2400 in all. Below the bound lies what is no leak: pages that a
// thread touches late.
constexpr int64_t kBoundKib = 512;

// Looks at the process's memory as epochs end. Keeps nothing of what it is told: TrainRun does, and grows.
class Observer {
 public:
  int64_t epochs = 0, resident = 0, most = 0, grown = 0, most_grown = 0;

  Answer Train(const Json &config, const std::string &output, const std::string &checkpoints) {
    MakeDirs(output);
    MakeDirs(checkpoints);
    ty_engine_host host = {};
    host.user = this;
    host.output_directory = output.c_str();
    host.checkpoint_directory = checkpoints.c_str();
    host.weights_path = "";
    host.world_size = 1;
    host.metric = [](void *user, const char *name, int64_t epoch, double) {
      if (std::strcmp(name, "val/loss") == 0) static_cast<Observer *>(user)->Look(epoch);
    };
    host.progress = [](void *, const char *) {};
    host.log = [](void *, int32_t, const char *) {};
    host.should_stop = [](void *) -> int32_t { return TY_ENGINE_GO_ON; };
    ty_engine_error error = {};
    return Take(Engine().train(config.Dump().c_str(), &host, &error), &error);
  }

 private:
  void Look(int64_t epoch) {
    epochs = epoch;
    if (epoch == kWarmUp) {
      resident = ProcessMemoryKib("VmRSS");
      most = ProcessMemoryKib("VmHWM");
    }
    grown = ProcessMemoryKib("VmRSS") - resident;
    most_grown = ProcessMemoryKib("VmHWM") - most;
  }
};

TEST(MemoryTest, EpochsOfAJobKeepNothing) {
  // 8 images of 32 x 32 to train on, 2 to validate with.
  const TempDir directory;
  const std::string data = JoinPath(directory.path(), "images");
  for (const auto &[name, label] : {std::pair{"blue", 2}, std::pair{"red", 0}}) {
    for (int i = 0; i < 5; ++i) {
      const std::string images = JoinPath(JoinPath(data, i < 4 ? "train" : "val"), name);
      MakeDirs(images);
      WriteJpeg(JoinPath(images, std::to_string(i) + ".jpg"), 32, 32, label, static_cast<uint32_t>(label * 10 + i));
    }
  }
  const Json config = Changed(Config(data), {{"train.epochs", Json(kEpochs)},
                                             {"transform.resize", Json(int64_t{32})},
                                             {"transform.crop", Json(int64_t{32})},
                                             {"optimizer.lr", Json(0.0001)},
                                             {"checkpoint.every_epochs", Json(int64_t{20})}});
  Observer observer;
  const Answer answer =
      observer.Train(config, JoinPath(directory.path(), "out"), JoinPath(directory.path(), "checkpoints"));
  ASSERT_TRUE(answer.ok()) << answer.message;
  ASSERT_EQ(observer.epochs, kEpochs);
  RecordProperty("grown_kib", std::to_string(observer.grown));
  EXPECT_LE(observer.grown, kBoundKib) << "resident KiB beyond the " << observer.resident;
  EXPECT_LE(observer.most_grown, kBoundKib) << "KiB at the most beyond the " << observer.most;
}

}  // namespace
}  // namespace trainyard
