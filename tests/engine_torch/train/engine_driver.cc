// Runs one training job in this process through the plug-in, as a training rank does, without workspace and runner: for
// tests and benchmarks of the engine alone.
//
//   engine_driver <LibTorch's lib directory> <libtrainyard_torch.so> <config.json> <weights or ""> <output directory>
//
// Started by mpirun it is one of several ranks; all have the same output directory. SIGTERM asks it to make room. Log
// lines go to standard error; one JSON line at the end to standard output, of rank 0 alone:
// {"epoch_seconds":[...],"best_val_accuracy":x,"val_accuracy":[...],"train_loss":[...],"val_loss":[...],
// "val_roc_auc":[...]}; the last of two classes only.
#include <dlfcn.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace {

struct Record {
  std::vector<double> epoch_seconds;
  std::vector<double> accuracy, train_loss, val_loss, roc_auc;
  double best = 0;
};

void OnMetric(void *user, const char *name, int64_t /*step*/, double value) {
  auto *record = static_cast<Record *>(user);
  const std::string metric = name;
  if (metric == "epoch_seconds") record->epoch_seconds.push_back(value);
  if (metric == "val/accuracy") record->accuracy.push_back(value);
  if (metric == "train/loss") record->train_loss.push_back(value);
  if (metric == "val/loss") record->val_loss.push_back(value);
  if (metric == "val/roc_auc") record->roc_auc.push_back(value);
  if (metric == "best_val_accuracy") record->best = value;
}

volatile sig_atomic_t terminated = 0;

int32_t ShouldStop(void * /*user*/) {
  return terminated != 0 ? TY_ENGINE_LEAVE : TY_ENGINE_GO_ON;
}

void OnLog(void * /*user*/, int32_t level, const char *message) {
  std::fprintf(stderr, "%s%s\n", level >= 2 ? "warning: " : "", message);
}

void *Open(const std::string &path) {
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "engine_driver: %s\n", dlerror());
    std::exit(2);
  }
  return library;
}

std::string List(const std::vector<double> &values) {
  std::ostringstream text;
  text.precision(17);
  for (size_t i = 0; i < values.size(); ++i) text << (i == 0 ? "[" : ",") << values[i];
  return (values.empty() ? "[" : text.str()) + "]";
}

int32_t Number(const char *name, int32_t fallback) {
  const char *text = std::getenv(name);
  return text == nullptr ? fallback : std::atoi(text);
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 6) {
    std::fprintf(
        stderr,
        "usage: engine_driver <torch lib directory> <engine> <config.json> <weights or \"\"> <output directory>\n");
    return 2;
  }
  const std::string torch = argv[1];
  for (const char *name : {"/libc10.so", "/libtorch_cpu.so"}) Open(torch + name);
  const auto entry = reinterpret_cast<ty_engine_entry>(dlsym(Open(argv[2]), TY_ENGINE_ENTRY_NAME));
  if (entry == nullptr) {
    std::fprintf(stderr, "engine_driver: %s has no %s\n", argv[2], TY_ENGINE_ENTRY_NAME);
    return 2;
  }
  std::ifstream file(argv[3]);
  const std::string config((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Record record;
  ty_engine_host host = {};
  host.user = &record;
  host.output_directory = argv[5];
  host.checkpoint_directory = argv[5];
  host.weights_path = argv[4];
  host.rank = Number("OMPI_COMM_WORLD_RANK", 0);
  host.world_size = Number("OMPI_COMM_WORLD_SIZE", 1);
  host.local_rank = Number("OMPI_COMM_WORLD_LOCAL_RANK", 0);
  host.metric = OnMetric;
  host.log = OnLog;
  host.should_stop = ShouldStop;
  signal(SIGTERM, [](int) { terminated = 1; });
  ty_engine_error error = {};
  const ty_engine *engine = entry();
  if (engine->initialise(1, 0, &error) != 0 || engine->train(config.c_str(), &host, &error) != 0) {
    std::fprintf(stderr, "engine_driver: %s (%s)\n", error.message, error.code);
    return 1;
  }
  if (host.rank != 0) return 0;
  std::printf(
      "{\"epoch_seconds\":%s,\"best_val_accuracy\":%.6f,\"val_accuracy\":%s,\"train_loss\":%s,\"val_loss\":%s,"
      "\"val_roc_auc\":%s}\n",
      List(record.epoch_seconds).c_str(), record.best, List(record.accuracy).c_str(), List(record.train_loss).c_str(),
      List(record.val_loss).c_str(), List(record.roc_auc).c_str());
  return 0;
}
