// The engine plug-in as a training rank sees it, for tests: loaded from the build tree, driven through the seam; small
// image sets that are made here; a host that records what it is told. Single-threaded unless said otherwise.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <jpeglib.h>  // needs <cstdio> first

#include "engine/engine.h"
#include "engine_torch/weights/tensor_file.h"
#include "util/fs.h"
#include "util/json.h"

namespace trainyard {

inline void *OpenLibrary(const std::string &path) {
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  return library;
}

// The plug-in of this build, with LibTorch opened before it, once per process.
inline const ty_engine &Engine() {
  static const ty_engine *const engine = [] {
    OpenLibrary(TRAINYARD_TORCH_LIB_DIR "/libc10.so");
    OpenLibrary(TRAINYARD_TORCH_LIB_DIR "/libtorch_cpu.so");
    void *plugin = OpenLibrary(TRAINYARD_ENGINE_PATH);
    const auto *table = reinterpret_cast<ty_engine_entry>(dlsym(plugin, TY_ENGINE_ENTRY_NAME))();
    ty_engine_error error = {};
    if (table->initialise(/*own_libtorch=*/1, /*has_cuda=*/0, &error) != 0) throw std::runtime_error(error.message);
    return table;
  }();
  return *engine;
}

// What an engine function answered.
struct Answer {
  int32_t status = 0;
  std::string message;
  std::string code;
  bool ok() const { return status == 0; }
};

inline Answer Take(int32_t status, ty_engine_error *error) {
  Answer answer{status, error->message == nullptr ? "" : error->message, error->code == nullptr ? "" : error->code};
  Engine().free_string(error->message);
  Engine().free_string(error->code);
  return answer;
}

// A JPEG whose class can be seen: a bright square of the class's colour somewhere on noise.
inline void WriteJpeg(const std::string &path, int width, int height, int label, uint32_t seed) {
  uint32_t state = seed * 2654435761u + 12345u;
  const auto random = [&state](uint32_t limit) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % limit;
  };
  std::vector<uint8_t> pixels(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  for (uint8_t &pixel : pixels) pixel = static_cast<uint8_t>(60 + random(60));
  const int side = std::min(width, height) / 2;
  const int left = static_cast<int>(random(static_cast<uint32_t>(width - side)));
  const int top = static_cast<int>(random(static_cast<uint32_t>(height - side)));
  for (int y = top; y < top + side; ++y) {
    for (int x = left; x < left + side; ++x) {
      for (int c = 0; c < 3; ++c) pixels[static_cast<size_t>((y * width + x) * 3 + c)] = c == label % 3 ? 230 : 20;
    }
  }
  FILE *file = std::fopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr) << path;
  jpeg_compress_struct jpeg;
  jpeg_error_mgr errors;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_stdio_dest(&jpeg, file);
  jpeg.image_width = static_cast<JDIMENSION>(width);
  jpeg.image_height = static_cast<JDIMENSION>(height);
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = &pixels[static_cast<size_t>(jpeg.next_scanline) * static_cast<size_t>(width) * 3];
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  std::fclose(file);
}

// <root>/{train,val}/{blue,green,red}/*.jpg
inline void MakeImages(const std::string &root, int train_per_class, int val_per_class) {
  const std::vector<std::pair<std::string, int>> classes = {{"blue", 2}, {"green", 1}, {"red", 0}};
  for (const auto &[name, label] : classes) {
    for (const auto &[part, count] : std::map<std::string, int>{{"train", train_per_class}, {"val", val_per_class}}) {
      const std::string directory = JoinPath(JoinPath(root, part), name);
      MakeDirs(directory);
      for (int i = 0; i < count; ++i) {
        const auto seed = static_cast<uint32_t>(label * 1000 + i + (part == "val" ? 500 : 0));
        WriteJpeg(JoinPath(directory, std::to_string(i) + ".jpg"), 70 + i % 3 * 13, 64 + i % 5 * 9, label, seed);
      }
    }
  }
}

// Every setting, at values for small fast tests.
inline Json Config(const std::string &data) {
  Json json = Json::Parse(
      R"({"data":{"directory":"","train_directory":"","validation_directory":"","bad_images":"skip","workers":2,"cache":"auto"},
          "transform":{"resize":72,"crop":64,"augment":true,"scale_minimum":0.5,"mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]},
          "model":{"architecture":"squeezenet1_1","weights":"","mode":"finetune"},
          "train":{"epochs":2,"batch_size":4,"seed":1,"nan_policy":"fail","log_every_steps":2},"evaluate":{"batch_size":32},
          "optimizer":{"name":"sgd","lr":0.01,"momentum":0.9,"weight_decay":0},
          "schedule":{"name":"step","step_size":7,"gamma":0.1},"checkpoint":{"every_epochs":1,"keep":1},"device":"cpu","threads":1})",
      "config");
  Json part = json.Get("data").Clone();
  part.Set("directory", data);
  json.Set("data", part);
  return json;
}

// Config with some settings changed: {"train.epochs", Json(3)}.
inline Json Changed(const Json &config, const std::vector<std::pair<std::string, Json>> &changes) {
  Json json = config.Clone();
  for (const auto &[key, value] : changes) {
    const size_t dot = key.find('.');
    if (dot == std::string::npos) {
      json.Set(key, value);
      continue;
    }
    Json part = json.Get(key.substr(0, dot)).Clone();
    part.Set(key.substr(dot + 1), value);
    json.Set(key.substr(0, dot), part);
  }
  return json;
}

// One training job and all that it told its host. Callbacks may come from any thread; the engine calls them from the
// trainer's.
struct TrainRun {
  std::map<std::string, std::map<int64_t, double>> metrics;
  std::vector<Json> progress;
  std::vector<std::string> log;
  std::function<bool()> stop = [] { return false; };
  std::function<bool()> leave = [] { return false; };
  int32_t world_size = 1;
  Answer answer;

  void Train(const Json &config, const std::string &output, const std::string &checkpoints,
             const std::string &weights = "") {
    MakeDirs(output);
    MakeDirs(checkpoints);
    ty_engine_host host = {};
    host.user = this;
    host.output_directory = output.c_str();
    host.checkpoint_directory = checkpoints.c_str();
    host.weights_path = weights.c_str();
    host.world_size = world_size;
    host.metric = [](void *user, const char *name, int64_t step, double value) {
      static_cast<TrainRun *>(user)->metrics[name][step] = value;
    };
    host.progress = [](void *user, const char *json) {
      static_cast<TrainRun *>(user)->progress.push_back(Json::Parse(json, "progress"));
    };
    host.log = [](void *user, int32_t, const char *message) {
      static_cast<TrainRun *>(user)->log.emplace_back(message);
    };
    host.should_stop = [](void *user) -> int32_t {
      auto *run = static_cast<TrainRun *>(user);
      return run->leave() ? TY_ENGINE_LEAVE : run->stop() ? TY_ENGINE_STOP : TY_ENGINE_GO_ON;
    };
    ty_engine_error error = {};
    const int32_t status = Engine().train(config.Dump().c_str(), &host, &error);
    answer = Take(status, &error);
  }
  bool Logged(const std::string &part) const {
    for (const std::string &line : log) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }
};

inline std::string Bytes(const NamedTensor &tensor) {
  return {reinterpret_cast<const char *>(tensor.data.data()), tensor.data.size()};
}

// A directory with images (4 a class to train on, 2 to validate with) and room for outputs.
class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override { MakeImages(data_, 4, 2); }
  std::string At(const std::string &name) const { return JoinPath(directory_.path(), name); }
  TrainRun Run(const std::string &name, const Json &config, const std::string &weights = "") const {
    TrainRun run;
    run.Train(config, At(name), At(name + "_checkpoints"), weights);
    return run;
  }
  std::string ModelBytes(const std::string &name) const { return ReadFile(JoinPath(At(name), "model.safetensors")); }

  TempDir directory_;
  std::string data_ = JoinPath(directory_.path(), "images");
};

}  // namespace trainyard
