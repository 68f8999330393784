// The PyTorch transfer-learning tutorial's job on ants and bees, here and in Python (tests/bench/tutorial_peer.py), in
// turn: whole processes, ours from start to registered model; seconds, seconds per epoch, the best validation accuracy
// and the most memory (PSS of all processes together, looked at every quarter of a second). The peer has the loader
// workers, 0 to 2, that made its first epoch fastest. Medians over rounds, each with another seed.
//
//   bench_training [<recipe>...]
//
// TRAINYARD_SHARED has the data, TRAINYARD_PYTHON_TORCH names the Python; TRAINYARD_BENCH_ROUNDS is 3.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <thread>

#include "bench.h"

namespace {

using bench::Check;
using bench::NowNs;
using bench::Quantile;

struct Recipe {
  const char *name;
  const char *architecture;
  const char *mode;
  int epochs;
  int cache_features;
  const char *same_peer;  // the recipe whose peer it is compared with
};

constexpr Recipe kRecipes[] = {
    {"finetune_resnet18", "resnet18", "finetune", 2, 0, ""},
    {"finetune_squeezenet1_1", "squeezenet1_1", "finetune", 2, 0, ""},
    {"feature_squeezenet1_1", "squeezenet1_1", "feature", 25, 0, ""},
    {"feature_squeezenet1_1_cached", "squeezenet1_1", "feature", 25, 4, "feature_squeezenet1_1"},
};

struct Files {
  std::string data, weights, python;

  std::string WeightsOf(const Recipe &recipe) const {
    return std::string(recipe.architecture) == "squeezenet1_1" ? weights : "";
  }
};

struct Figures {
  double total = 0, epoch = 0, accuracy = 0, memory = 0;
};

// Bytes that a process has for itself, and its part of what it shares.
double ProportionalBytes(int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("Pss:", 0) == 0) return std::strtod(line.c_str() + 4, nullptr) * 1024;
  }
  return 0;
}

// Runs a program to its end; what it printed is in `out`. Its processes are its descendants and the supervisors of runs
// in `workspace` with theirs.
Figures Measure(std::vector<std::string> command, const std::string &out, const std::string &workspace) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, (out + ".err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  std::vector<char *> argv;
  for (std::string &word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int64_t start = NowNs();
  if (posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ) != 0) std::exit(1);
  posix_spawn_file_actions_destroy(&actions);
  std::atomic<bool> ended = false;
  double most = 0;
  std::thread watch([&] {
    while (!ended.load()) {
      const std::vector<trainyard::ProcessInfo> all = trainyard::ListProcesses();
      double bytes = ProportionalBytes(pid);
      for (const auto &process : trainyard::FindDescendants(pid, all)) bytes += ProportionalBytes(process.pid);
      if (!workspace.empty()) {
        for (const auto &supervisor : bench::Supervisors(workspace)) {
          bytes += ProportionalBytes(supervisor.pid);
          for (const auto &process : trainyard::FindDescendants(supervisor.pid, all))
            bytes += ProportionalBytes(process.pid);
        }
      }
      most = std::max(most, bytes);
      usleep(250000);
    }
  });
  int status = 0;
  waitpid(pid, &status, 0);
  Figures figures;
  figures.total = static_cast<double>(NowNs() - start) / 1e9;
  ended.store(true);
  watch.join();
  figures.memory = most / 1e6;
  std::ifstream file(out);
  if (status != 0 || !(file >> figures.epoch >> figures.accuracy)) {
    std::ifstream why(out + ".err");
    std::stringstream text;
    text << why.rdbuf();
    std::exit(std::fprintf(stderr, "%s failed: %s\n", argv[0], text.str().c_str()));
  }
  return figures;
}

// This program, as a host: "ours <recipe> <seed> <workspace> <data> <weights>". Prints the median seconds of an epoch
// and the best accuracy.
int Train(char **argv) {
  ty_error *error = nullptr;
  const Recipe &recipe = kRecipes[std::atoi(argv[2])];
  ty_train_config *config = nullptr;
  ty_workspace *workspace = nullptr;
  ty_job *job = nullptr;
  ty_run *run = nullptr;
  ty_model *model = nullptr;
  Check(ty_workspace_open(argv[4], &workspace, &error), error, "workspace");
  Check(ty_train_config_new(&config, &error), error, "config");
  const auto text = [&](const char *key, const char *value) {
    Check(ty_train_config_set_string(config, key, value, &error), error, key);
  };
  const auto number = [&](const char *key, int64_t value) {
    Check(ty_train_config_set_int(config, key, value, &error), error, key);
  };
  text("data.directory", argv[5]);
  text("model.architecture", recipe.architecture);
  text("model.mode", recipe.mode);
  text("model.weights", argv[6]);
  text("device", "cpu");
  number("model.cache_features", recipe.cache_features);
  number("train.epochs", recipe.epochs);
  number("train.seed", std::atoi(argv[3]));
  Check(ty_job_new_train(config, &job, &error), error, "job");
  Check(ty_run_submit(workspace, "bench", job, &run, &error), error, "submit");
  if (bench::Wait(run) != TY_RUN_COMPLETED) {
    Check(ty_run_failure(run, &error, nullptr), error, "failure");
    return std::fprintf(stderr, "%s\n", ty_error_message(error)), 1;
  }
  Check(ty_run_register_model(run, "bench", "outputs", nullptr, &model, &error), error, "register");
  double accuracy = 0;
  Check(ty_run_get_metric_value(run, "best_val_accuracy", &accuracy, &error), error, "accuracy");
  ty_metric_series *series = nullptr;
  Check(ty_run_get_metric(run, "epoch_seconds", nullptr, &series, &error), error, "epoch_seconds");
  const double *values = ty_metric_series_values(series);
  std::printf("%.4f %.6f\n", Quantile({values, values + ty_metric_series_size(series)}, 0.5), accuracy);
  ty_metric_series_free(series);
  ty_model_free(model);
  ty_run_free(run);
  ty_job_free(job);
  ty_train_config_free(config);
  ty_workspace_free(workspace);
  return 0;
}

Figures Ours(size_t recipe, int seed, const Files &files, const std::string &directory) {
  const std::string workspace = directory + "/ws";
  return Measure({bench::Self(), "ours", std::to_string(recipe), std::to_string(seed), workspace, files.data,
                  files.WeightsOf(kRecipes[recipe])},
                 directory + "/ours", workspace);
}

Figures Peer(const Recipe &recipe, int epochs, int seed, int workers, const Files &files,
             const std::string &directory) {
  return Measure({files.python, TRAINYARD_SOURCE_DIR "/tests/bench/tutorial_peer.py", "--data", files.data, "--weights",
                  files.WeightsOf(recipe), "--model", recipe.architecture, "--mode", recipe.mode, "--epochs",
                  std::to_string(epochs), "--seed", std::to_string(seed), "--workers", std::to_string(workers)},
                 directory + "/peer", "");
}

int BestWorkers(const Recipe &recipe, const Files &files, const std::string &directory) {
  int best = 0;
  double least = 0;
  for (int workers = 0; workers <= 2; ++workers) {
    const double seconds = Peer(recipe, 1, 0, workers, files, directory).epoch;
    if (workers == 0 || seconds < least) {
      best = workers;
      least = seconds;
    }
  }
  return best;
}

double Median(const std::vector<Figures> &figures, double Figures::*member) {
  std::vector<double> values;
  for (const Figures &figure : figures) values.push_back(figure.*member);
  return Quantile(values, 0.5);
}

void Print(const Recipe &recipe, const std::vector<Figures> &ours, const std::vector<Figures> &peer) {
  const std::string prefix = std::string("training_") + recipe.name;
  const auto line = [&](const char *what, const char *unit, double Figures::*member, bool more_is_better) {
    const double own = Median(ours, member);
    if (peer.empty()) return bench::Report(prefix + "_" + what, own, unit);
    const double other = Median(peer, member);
    std::printf("bench %s_%s %.4g %s peer %.4g ratio %.3g\n", prefix.c_str(), what, own, unit, other,
                more_is_better ? own / other : other / own);
  };
  line("total_s", "s", &Figures::total, false);
  line("epoch_s", "s", &Figures::epoch, false);
  line("accuracy", "fraction", &Figures::accuracy, true);
  line("peak_memory_mb", "MB", &Figures::memory, false);
}

std::string Variable(const char *name) {
  const char *value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc == 7 && std::string(argv[1]) == "ours") return Train(argv);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::string shared = Variable("TRAINYARD_SHARED") + "/data/";
  const Files files = {shared + "hymenoptera/hymenoptera_data", shared + "squeezenet1_1-imagenet-caffe.safetensors",
                       Variable("TRAINYARD_PYTHON_TORCH")};
  if (!trainyard::PathExists(files.data) || !trainyard::PathExists(files.weights)) {
    std::printf("SKIP: no %s or no weights beside it (TRAINYARD_SHARED)\n", files.data.c_str());
    return 0;
  }
  if (files.python.empty()) std::printf("no Python with torch (TRAINYARD_PYTHON_TORCH): without the peer\n");
  const int rounds = Variable("TRAINYARD_BENCH_ROUNDS").empty() ? 3 : std::stoi(Variable("TRAINYARD_BENCH_ROUNDS"));
  std::map<std::string, std::vector<Figures>> peers;
  for (size_t i = 0; i < std::size(kRecipes); ++i) {
    const Recipe &recipe = kRecipes[i];
    const std::vector<std::string> wanted(argv + 1, argv + argc);
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), recipe.name) == wanted.end()) continue;
    const bool own_peer = !files.python.empty() && *recipe.same_peer == '\0';
    const trainyard::TempDir directory("trainyard-bench");
    const int workers = own_peer ? BestWorkers(recipe, files, directory.path()) : 0;
    if (own_peer) std::printf("%s: the peer has %d loader workers\n", recipe.name, workers);
    std::vector<Figures> ours;
    for (int seed = 0; seed < rounds; ++seed) {
      ours.push_back(Ours(i, seed, files, directory.path()));
      std::printf("%s, seed %d: %.4f in %.2f s", recipe.name, seed, ours.back().accuracy, ours.back().total);
      if (own_peer) {
        peers[recipe.name].push_back(Peer(recipe, recipe.epochs, seed, workers, files, directory.path()));
        const Figures &peer = peers[recipe.name].back();
        std::printf("; the peer %.4f in %.2f s", peer.accuracy, peer.total);
      }
      std::printf("\n");
    }
    Print(recipe, ours, peers[*recipe.same_peer == '\0' ? recipe.name : recipe.same_peer]);
  }
  return 0;
}
