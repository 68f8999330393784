#include "core/train_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "util/error_message.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

TEST(TrainConfig, EverySettingRoundTripsThroughJson) {
  TrainConfig config;
  config.SetString("data.directory", "/data");
  config.SetNumber("optimizer.lr", 0.0125);
  config.SetInteger("train.epochs", 3);
  config.SetBool("transform.augment", false);
  config.SetNumberList("transform.mean", {0.1, 0.2, 0.3});
  const TrainConfig read = TrainConfig::FromJson(Json::Parse(config.ToJson().Dump(), "train"), "train");
  EXPECT_EQ(read.ToJson().Canonical(), config.ToJson().Canonical());
  EXPECT_EQ(read.GetNumber("optimizer.lr"), 0.0125);
  EXPECT_EQ(read.GetNumberList("transform.mean"), (std::vector<double>{0.1, 0.2, 0.3}));
}

TEST(TrainConfig, DescriptionListsEverySettingWithItsDefault) {
  const Json list = Json::Parse(TrainConfig::DescribeJson(), "settings");
  ASSERT_EQ(list.size(), TrainConfig::Settings().size());
  const Json defaults = TrainConfig().ToJson();
  for (const Json &entry : list.Items()) {
    EXPECT_FALSE(entry.GetString("doc").empty()) << entry.GetString("key");
    Json place = defaults;
    const std::string key = entry.GetString("key");
    const size_t dot = key.find('.');
    if (dot != std::string::npos) place = place.Get(key.substr(0, dot));
    EXPECT_EQ(place.Get(key.substr(dot == std::string::npos ? 0 : dot + 1)).Dump(), entry.Get("default").Dump()) << key;
  }
}

TEST(TrainConfig, DefaultsAreTheTutorialsRecipe) {
  const TrainConfig config;
  EXPECT_EQ(config.GetInteger("train.epochs"), 25);
  EXPECT_EQ(config.GetInteger("train.batch_size"), 4);
  EXPECT_EQ(config.GetNumber("optimizer.lr"), 0.001);
  EXPECT_EQ(config.GetNumber("optimizer.momentum"), 0.9);
  EXPECT_EQ(config.GetInteger("schedule.step_size"), 7);
  EXPECT_EQ(config.GetNumber("schedule.gamma"), 0.1);
  // RandomResizedCrop(224) and RandomHorizontalFlip(), with torchvision's own bounds to the last bit.
  EXPECT_EQ(config.GetNumber("transform.ratio_minimum"), 3.0 / 4.0);
  EXPECT_EQ(config.GetNumber("transform.ratio_maximum"), 4.0 / 3.0);
  EXPECT_EQ(config.GetNumber("transform.horizontal_flip"), 0.5);
}

TEST(TrainConfig, SettingsThatDoNotGoTogetherAreRefusedTogether) {
  struct Case {
    const char *settings, *message;
  };
  for (const Case &one : {
           Case{R"({"optimizer":{"nesterov":true,"momentum":0}})", "needs optimizer.name sgd with a momentum above 0"},
           Case{R"({"optimizer":{"nesterov":true,"name":"adam"}})", "needs optimizer.name sgd"},
           Case{R"({"train":{"micro_batch_size":8,"batch_size":4}})", "must not be larger than train.batch_size"},
           Case{R"({"train":{"micro_batch_size":2,"sync_batch_norm":true}})", "does not go with train.sync_batch_norm"},
           Case{R"({"schedule":{"name":"multistep"}})", "schedule.milestones"},
           Case{R"({"schedule":{"name":"onecycle","warmup_steps":3}})", "has its own rise"},
           Case{R"({"train":{"nan_policy":"rollback"},"checkpoint":{"every_epochs":0}})", "rollback needs checkpoints"},
           Case{R"({"optimizer":{"beta2":1}})", "'optimizer.beta2' must be below 1"},
           Case{R"({"loss":{"class_weights":"1,x"}})", "loss.class_weights"},
           Case{R"({"model":{"freeze":","}})", "model.freeze"},
           Case{R"({"transform":{"scale_minimum":0.5,"scale_maximum":0.4}})",
                "'transform.scale_minimum' must not be larger than 'transform.scale_maximum', got 0.5 and 0.4"},
           Case{R"({"transform":{"ratio_minimum":2}})", "must not be larger than 'transform.ratio_maximum'"},
           Case{R"({"transform":{"erasing_scale_minimum":0.4}})", "'transform.erasing_scale_maximum'"},
           Case{R"({"transform":{"erasing_ratio_maximum":0.2}})",
                "'transform.erasing_ratio_minimum' must not be larger"},
           Case{R"({"transform":{"rotation_fill":[1,2.5,3]}})",
                "'transform.rotation_fill' must have whole numbers, got 2.5"},
           Case{R"({"transform":{"augment":false,"hue":0.1}})",
                "'transform.hue' does nothing with 'transform.augment' false"},
           Case{R"({"transform":{"augment":false,"erasing":0.1}})", "'transform.erasing' does nothing"},
       }) {
    TrainConfig config = TrainConfig::FromJson(Json::Parse(one.settings, "train"), "train");
    config.SetString("data.directory", "/data");
    EXPECT_THAT(MessageOf([&] { config.CheckComplete(); }), HasSubstr(one.message)) << one.settings;
  }
}

TEST(TrainConfig, TheLossFollowsTheTask) {
  TrainConfig config;
  config.SetString("data.manifest", "/list.csv");
  struct Case {
    const char *task, *loss, *meant;  // meant: nullptr = they do not go together
  };
  for (const Case &one : {
           Case{"classification", "auto", "cross_entropy"},
           Case{"classification", "cross_entropy", "cross_entropy"},
           Case{"classification", "mse", nullptr},
           Case{"multilabel", "auto", "bce"},
           Case{"multilabel", "cross_entropy", nullptr},
           Case{"regression", "auto", "mse"},
           Case{"regression", "l1", "l1"},
           Case{"regression", "huber", "huber"},
           Case{"regression", "bce", nullptr},
       }) {
    config.SetString("task", one.task);
    config.SetString("loss.name", one.loss);
    if (one.meant != nullptr) {
      EXPECT_NO_THROW(config.CheckComplete()) << one.task << " " << one.loss;
      EXPECT_EQ(config.LossName(), one.meant);
    } else {
      const std::string message = MessageOf([&] { config.CheckComplete(); });
      EXPECT_THAT(message, HasSubstr(std::string("'loss.name' is ") + one.loss + ", and 'task' " + one.task));
      EXPECT_NO_THROW(config.CheckTraining()) << "ty_trainer learns what its loss says";
    }
  }
  config.SetString("loss.name", "auto");
  config.SetNumber("loss.label_smoothing", 0.1);
  EXPECT_THAT(MessageOf([&] { config.CheckComplete(); }), HasSubstr("must be cross_entropy with label smoothing"));
}

TEST(TrainConfig, ImagesAreNamedInOneWay) {
  struct Case {
    const char *settings, *message;  // nullptr: fine
  };
  for (const Case &one : {
           Case{R"({"data":{"manifest":"/l.csv"}})", nullptr},
           Case{R"({"data":{"manifest":"/l.csv","validation_fraction":0.2,"sampling":"weighted"}})", nullptr},
           Case{R"({"data":{"directory":"/d","validation_fraction":0.2}})", nullptr},
           Case{R"({"data":{"train_directory":"/d","validation_fraction":0.2}})", nullptr},
           Case{R"({"data":{"train_directory":"/d"}})", "or 'data.validation_fraction'"},
           Case{R"({"data":{"validation_directory":"/d","validation_fraction":0.2}})", "set one of them"},
           Case{R"({"data":{"train_directory":"/d","validation_directory":"/v","validation_fraction":0.2}})",
                "set one of them"},
           Case{R"({"data":{"manifest":"/l.csv","directory":"/d"}})", "either 'data.manifest' or directories"},
           Case{R"({"data":{"manifest":"/l.csv","validation_directory":"/d"}})", "either 'data.manifest'"},
           Case{R"({"data":{"manifest":"/l.csv","validation_fraction":1}})", "must be below 1"},
           Case{R"({"data":{"directory":"/d"},"task":"regression"})",
                "'task' is regression, which needs 'data.manifest' or 'data.arrays'"},
           Case{R"({"data":{"arrays":"/a"},"task":"regression","model":{"architecture":"mlp"}})", nullptr},
           Case{R"({"data":{"arrays":"/a","validation_fraction":0.2},"transform":{"crop":999}})", nullptr},
           Case{R"({"data":{"arrays":"/a","directory":"/d"}})", "either 'data.arrays' or images"},
           Case{R"({"data":{"arrays":"/a","manifest":"/l.csv"}})", "either 'data.arrays' or images"},
           Case{R"({"data":{"directory":"/d"},"model":{"architecture":"mlp"}})", "is for arrays: set 'data.arrays'"},
           Case{R"({"data":{"arrays":"/a"},"loss":{"name":"mse"}})", "'loss.name' is mse"},
       }) {
    const TrainConfig config = TrainConfig::FromJson(Json::Parse(one.settings, "train"), "train");
    if (one.message == nullptr) {
      EXPECT_NO_THROW(config.CheckComplete()) << one.settings;
    } else {
      EXPECT_THAT(MessageOf([&] { config.CheckComplete(); }), HasSubstr(one.message)) << one.settings;
    }
  }
}

TEST(TrainConfig, NumberFormatsHaveTheirUsualNames) {
  TrainConfig config;
  for (const char *name : {"tf32", "bf16", "fp16", "fp32"}) {
    config.SetString("train.precision", name);
    config.CheckTraining();
  }
  EXPECT_THAT(MessageOf([&] { config.SetString("train.precision", "bfloat16"); }),
              HasSubstr("must be one of fp32, tf32, bf16, fp16"));
}

TEST(TrainConfig, UnknownKeysNameTheNearest) {
  TrainConfig config;
  EXPECT_THAT(MessageOf([&] { config.SetNumber("optimizer.lrr", 1); }), HasSubstr("did you mean 'optimizer.lr'?"));
  EXPECT_THAT(MessageOf([] { TrainConfig::FromJson(Json::Parse(R"({"optimiser":{"lr":1}})", "train"), "train"); }),
              HasSubstr("did you mean 'optimizer.lr'?"));
  EXPECT_THAT(MessageOf([] { TrainConfig::FromJson(Json::Parse(R"({"devise":"cpu"})", "train"), "job.train"); }),
              HasSubstr("in job.train, did you mean 'device'?"));
}

TEST(TrainConfig, TypesAreChecked) {
  TrainConfig config;
  EXPECT_THAT(MessageOf([&] { config.SetString("train.epochs", "3"); }),
              HasSubstr("'train.epochs' is a integer, not a string"));
  config.SetInteger("optimizer.lr", 1);  // an integer is a number
  EXPECT_EQ(config.GetNumber("optimizer.lr"), 1.0);
  EXPECT_THAT(MessageOf([] { TrainConfig::FromJson(Json::Parse(R"({"train":{"epochs":1.5}})", "train"), "train"); }),
              HasSubstr("train.train.epochs"));
}

TEST(TrainConfig, RangesAndChoicesAreChecked) {
  TrainConfig config;
  EXPECT_THAT(MessageOf([&] { config.SetInteger("train.batch_size", 0); }), HasSubstr("from 1 to 65536, got 0"));
  EXPECT_THAT(MessageOf([&] { config.SetNumber("optimizer.lr", -1); }), HasSubstr("at least 0, got -1"));
  EXPECT_THAT(MessageOf([&] { config.SetNumber("optimizer.lr", std::nan("")); }), HasSubstr("got NaN"));
  EXPECT_THAT(MessageOf([&] { config.SetNumber("optimizer.lr", INFINITY); }), HasSubstr("got Infinity"));
  EXPECT_THAT(MessageOf([&] { config.SetNumberList("transform.std", {1, 1}); }), HasSubstr("3 numbers, got 2"));
  EXPECT_THAT(MessageOf([&] { config.SetNumberList("transform.std", {1, 0, 1}); }), HasSubstr("transform.std"));
  EXPECT_THAT(MessageOf([&] { config.SetString("model.architecture", "resnet81"); }),
              HasSubstr("did you mean 'resnet18'?"));
  for (const char *key : {"transform.horizontal_flip", "transform.vertical_flip", "transform.grayscale",
                          "transform.erasing", "transform.scale_maximum", "transform.erasing_scale_maximum"}) {
    EXPECT_THAT(MessageOf([&] { config.SetNumber(key, 1.01); }), HasSubstr(key));
    EXPECT_THAT(MessageOf([&] { config.SetNumber(key, -0.01); }), HasSubstr(key));
  }
  EXPECT_THAT(MessageOf([&] { config.SetNumber("transform.hue", 0.6); }), HasSubstr("from 0 to 0.5, got 0.6"));
  EXPECT_THAT(MessageOf([&] { config.SetNumber("transform.saturation", -0.1); }), HasSubstr("transform.saturation"));
  EXPECT_THAT(MessageOf([&] { config.SetNumber("transform.rotation_degrees", 361); }), HasSubstr("from 0 to 360"));
  EXPECT_THAT(MessageOf([&] {
                config.SetNumberList("transform.rotation_fill", {0, 0, 256});
              }),
              HasSubstr("from 0 to 255, got 256"));
}

TEST(TrainConfig, DeviceIsCheckedBeforeAnythingRuns) {
  TrainConfig config;
  config.SetString("data.directory", "/a");
  for (const char *device : {"auto", "cpu", "cuda", "cuda:0", "cuda:7"}) {
    config.SetString("device", device);
    EXPECT_NO_THROW(config.CheckComplete()) << device;
  }
  for (const char *device : {"gpu", "cuda:", "cuda:-1", "cuda:x", "CUDA", ""}) {
    config.SetString("device", device);
    EXPECT_THAT(MessageOf([&] { config.CheckComplete(); }), HasSubstr("auto, cpu, cuda or cuda:N")) << device;
  }
}

TEST(TrainConfig, SaysWhatIsMissing) {
  TrainConfig config;
  EXPECT_THAT(MessageOf([&] { config.CheckComplete(); }), HasSubstr("set 'data.directory'"));
  config.SetString("data.train_directory", "/a");
  EXPECT_THAT(MessageOf([&] { config.CheckComplete(); }), HasSubstr("no training data"));
  config.SetString("data.validation_directory", "/b");
  EXPECT_NO_THROW(config.CheckComplete());
  config.SetString("data.directory", "/c");
  EXPECT_THAT(MessageOf([&] { config.CheckComplete(); }), HasSubstr("not all of them"));
  config.SetString("data.train_directory", "");
  config.SetString("data.validation_directory", "");
  config.SetInteger("transform.crop", 300);
  EXPECT_THAT(MessageOf([&] { config.CheckComplete(); }), HasSubstr("must not be larger than"));
}

}  // namespace
}  // namespace trainyard
