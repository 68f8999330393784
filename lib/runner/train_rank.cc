#include "runner/train_rank.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <optional>

#include "core/job.h"
#include "drivers/local/preflight.h"
#include "engine/loader.h"
#include "store/journal.h"
#include "store/layout.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr int64_t kStopLookMs = 200;
constexpr int kTerminatedExitCode = 128 + SIGTERM;  // as shells tell it

// Set by the handler of SIGTERM: the place is wanted, for another run or for good.
volatile sig_atomic_t g_terminated = 0;

int32_t NumberVariable(const char *name, int32_t fallback) {
  const char *text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread is started
  const auto number = text == nullptr ? std::nullopt : ParseInt64(text);
  return number ? static_cast<int32_t>(*number) : fallback;
}

std::string TextVariable(const char *name) {
  const char *text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread is started
  return text == nullptr ? "" : text;
}

void Print(const std::string &line) {
  const std::string text = line + "\n";
  [[maybe_unused]] const ssize_t count = write(STDOUT_FILENO, text.data(), text.size());
}

// The rank's end of the engine's callbacks. They may come from any thread, and must not throw into C.
class Host {
 public:
  Host(const RunLayout &layout, int32_t rank)
      : layout_(layout), journal_(layout.Journal(), rank, NumberVariable("TRAINYARD_ATTEMPT", 0)) {}

  void Metric(const char *name, int64_t step, double value) {
    Guard("metric", [&] { journal_.Append(name, value, step); });
  }
  void Progress(const char *json) {
    Guard("progress", [&] { journal_.Progress(json); });
  }
  static void Message(int32_t level, const char *message) {
    const char *prefix = level >= static_cast<int32_t>(LogLevel::kError)     ? "error: "
                         : level >= static_cast<int32_t>(LogLevel::kWarning) ? "warning: "
                                                                             : "";
    Print(std::string(prefix) + message);
  }
  int32_t ShouldStop() {
    if (g_terminated != 0) return TY_ENGINE_LEAVE;
    const int64_t now = MonotonicMs();
    if (!stop_ && now - last_look_ms_ >= kStopLookMs) {
      last_look_ms_ = now;
      stop_ = access(layout_.StopFile().c_str(), F_OK) == 0;
    }
    return stop_ ? TY_ENGINE_STOP : TY_ENGINE_GO_ON;
  }
  void Close() { journal_.Close(); }

 private:
  // A full disk costs points, not the training.
  template <typename Work>
  void Guard(const char *what, Work &&work) {
    try {
      work();
    } catch (const std::exception &error) {
      if (!lost_.exchange(true)) Print(std::string("warning: a ") + what + " was lost: " + error.what());
    }
  }

  const RunLayout layout_;
  JournalWriter journal_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> lost_{false};
  std::atomic<int64_t> last_look_ms_{0};
};

ty_engine_host Callbacks(Host *host) {
  ty_engine_host callbacks{};
  callbacks.user = host;
  callbacks.metric = [](void *user, const char *name, int64_t step, double value) {
    static_cast<Host *>(user)->Metric(name, step, value);
  };
  callbacks.progress = [](void *user, const char *json) { static_cast<Host *>(user)->Progress(json); };
  callbacks.log = [](void *, int32_t level, const char *message) { Host::Message(level, message); };
  callbacks.should_stop = [](void *user) -> int32_t { return static_cast<Host *>(user)->ShouldStop(); };
  return callbacks;
}

// The settings with the paths of the job's inputs, which its variables tell.
TrainConfig WithInputs(const Job &job) {
  std::map<std::string, std::string> paths;
  for (const auto &[name, input] : job.inputs) paths[name] = TextVariable(InputVariables(name)[0].c_str());
  TrainConfig config = *job.train;
  for (const char *key : kDataPaths) config.SetString(key, ExpandInputs(config.GetString(key), paths));
  return config;
}

struct TrainFailure {
  std::string code, message;
};

std::optional<TrainFailure> Train(const RunLayout &layout) {
  const Job job = Job::Parse(ReadFile(layout.JobJson()), "job");
  if (!job.train) return TrainFailure{"invalid_job", "the job has no training settings"};
  const int32_t rank = NumberVariable("RANK", 0);
  Host host(layout, rank);
  ty_engine_host callbacks = Callbacks(&host);
  const std::string outputs = layout.CodeOutputs();
  const std::string checkpoints = outputs + "/checkpoints";
  const std::string weights = TextVariable("TRAINYARD_WEIGHTS_PATH");
  MakeDirs(checkpoints);
  callbacks.output_directory = outputs.c_str();
  callbacks.checkpoint_directory = checkpoints.c_str();
  callbacks.weights_path = weights.c_str();
  callbacks.rank = rank;
  callbacks.world_size = NumberVariable("WORLD_SIZE", 1);
  callbacks.local_rank = NumberVariable("LOCAL_RANK", 0);
  callbacks.local_world_size = NumberVariable("LOCAL_WORLD_SIZE", callbacks.world_size);
  const std::string config = WithInputs(job).ToJson().Dump();

  const ty_engine &engine = LoadEngine();
  ty_engine_error error{};
  const int32_t status = engine.train(config.c_str(), &callbacks, &error);
  host.Close();
  std::optional<TrainFailure> failure;
  if (status != 0) {
    failure = TrainFailure{error.code != nullptr ? error.code : "engine",
                           error.message != nullptr ? error.message : "the training failed without a reason"};
    if (error.code != nullptr) engine.free_string(error.code);
    if (error.message != nullptr) engine.free_string(error.message);
  }
  return failure;
}

void WriteErrorFile(const RunLayout &layout, const TrainFailure &failure) {
  Json json = Json::Object();
  json.Set("code", failure.code).Set("message", SanitizeUtf8(failure.message));
  try {
    WriteFileAtomic(layout.RankError(NumberVariable("RANK", 0)), json.DumpPretty());
  } catch (const Error &) {
    // The message below has it too.
  }
}

}  // namespace

int TrainRank(const std::string &workspace, const std::string &run_id) {
  const RunLayout layout = Layout(AbsolutePath(workspace)).Run(run_id);
  struct sigaction action {};
  action.sa_handler = [](int) { g_terminated = 1; };
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  SetLogSink(
      [](LogLevel level, const std::string &message) { Host::Message(static_cast<int32_t>(level), message.c_str()); });
  std::optional<TrainFailure> failure;
  try {
    failure = Train(layout);
  } catch (const Error &error) {
    failure = TrainFailure{error.status() == Status::kEngine ? "engine" : "train", error.what()};
  } catch (const std::exception &error) {
    failure = TrainFailure{"train", error.what()};
  }
  if (!failure) return 0;
  const bool left = failure->code == "left";
  if (!left) WriteErrorFile(layout, *failure);
  const std::string line = (left ? "terminated: " : "error: ") + failure->message + "\n";
  [[maybe_unused]] const ssize_t count = write(STDERR_FILENO, line.data(), line.size());
  return left ? kTerminatedExitCode : 1;
}

void ValidateTraining(const std::string &request, const std::string &report_path) {
  const Json json = Json::Parse(request, "request");
  const std::string config = TrainConfig::FromJson(json.Get("train"), "job.train").ToJson().Dump();
  const std::string weights = json.GetString("weights_path", "");
  const ty_engine &engine = LoadEngine();
  char *report = nullptr;
  ty_engine_error error{};
  CheckEngine(engine, engine.validate(config.c_str(), weights.c_str(), 1, &report, &error), &error);
  const std::string text = report == nullptr ? "{}" : report;
  if (report != nullptr) engine.free_string(report);
  WriteFileAtomic(report_path, text, 0600, false);
}

}  // namespace trainyard
