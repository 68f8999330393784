#include "runner/environment/prepare_environment.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "runner/environment/build_tools.h"
#include "runner/environment/definition.h"
#include "runner/environment/kinds.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/process.h"
#include "util/random.h"
#include "util/url.h"

namespace trainyard {
namespace {

constexpr useconds_t kLockLookUs = 100000;
constexpr int64_t kHostLookMs = 500;

class Preparation {
 public:
  Preparation(const Environment &environment, const Layout &workspace, const PrepareOptions &options)
      : environment_(environment),
        options_(options),
        definition_(ReadDefinition(environment)),
        hash_(environment.ContentHash()),
        layout_(workspace.Environment(hash_)),
        workspace_(workspace),
        tools_(options.log, options.marker, options.go_on),
        request_{environment_, definition_, layout_, workspace_, tools_},
        kind_(KindOf(environment_, definition_, &tools_)) {}

  PrepareReport Run() {
    report_.hash = hash_;
    report_.directory = layout_.Root();
    report_.prepared.kind = kind_.name;
    const std::string id =
        environment_.version.empty() ? environment_.name : environment_.name + ":" + environment_.version;
    tools_.Say("environment '" + id + "', content " + hash_ + ", kind " + std::string(kind_.name));
    for (const std::string &line : definition_.left_out)
      tools_.Say("left out: " + line + " (runs have a package that stands in for it)");
    if (kind_.name == "interpreter") {
      kind_.check(request_);
      kind_.use(request_, {}, &report_.prepared);
      return Finish();
    }
    MakeDirs(workspace_.Environments());
    for (;;) {
      if (Lock(LOCK_SH) && TryUse()) return Finish();
      Lock(LOCK_EX);
      if (TryUse()) {
        flock(lock_.get(), LOCK_SH | LOCK_NB);
        return Finish();
      }
      Make();
    }
  }

 private:
  PrepareReport Finish() {
    for (const auto &[name, value] : environment_.variables) report_.prepared.variables.emplace(name, value);
    if (lock_.valid()) futimens(lock_.get(), nullptr);  // pruning goes by the last use
    report_.prepared.in_use = std::move(lock_);
    return std::move(report_);
  }

  void TellOnce() {
    if (!told_ && options_.on_make) options_.on_make();
    told_ = true;
  }

  // Waits as long as it takes. True: got it.
  bool Lock(int how) {
    if (!lock_.valid()) lock_ = OpenFile(layout_.Lock(), O_RDWR | O_CREAT);
    bool said = false;
    while (flock(lock_.get(), how | LOCK_NB) != 0) {
      if (!options_.go_on()) throw Error(Status::kCanceled, "canceled while waiting for the environment");
      if (!said) tools_.Say("somebody else is making this environment; waiting");
      said = true;
      TellOnce();
      usleep(kLockLookUs);
    }
    return true;
  }

  // What is there and whole.
  bool TryUse() {
    const auto text = ReadFileIfExists(layout_.Ready());
    if (!text) return false;
    try {
      report_.ready = Json::Parse(*text, layout_.Ready());
      PreparedEnvironment prepared;
      prepared.kind = kind_.name;
      if (!kind_.use(request_, report_.ready, &prepared)) {
        tools_.Say("what was made of it is not usable any more; making it again");
        return false;
      }
      report_.prepared = std::move(prepared);
    } catch (const Error &error) {
      if (error.status() == Status::kCanceled) throw;
      tools_.Say(std::string("what was made of it cannot be used: ") + error.what());
      return false;
    }
    report_.reused = !made_;
    tools_.Say((made_ ? "made in " : "reused from ") + layout_.Root());
    return true;
  }

  // With the exclusive lock.
  void Make() {
    if (made_) throw Error(Status::kRuntime, "the environment was made and cannot be used; see the log");
    TellOnce();
    kind_.check(request_);
    RemoveTree(layout_.Root());  // torn, or not usable any more
    MakeDirs(layout_.Root());
    WriteFileAtomic(layout_.Definition(), environment_.ToJson().DumpPretty());
    const Json ready = kind_.make(request_);
    Json resolved = Json::Object();
    resolved.Set("environment", environment_.name)
        .Set("hash", hash_)
        .Set("kind", kind_.name)
        .Set("python", ready.GetString("python", ""))
        .Set("python_version", ready.GetString("python_version", ""))
        .Set("made_ms", NowUnixMs())
        .Set("packages", ready.Get("packages"));
    WriteFileAtomic(layout_.Resolved(), resolved.DumpPretty());
    if (!options_.log.empty()) CopyFile(options_.log, layout_.BuildLog(), /*replace=*/true);
    WriteFileAtomic(layout_.Ready(), ready.DumpPretty());
    made_ = true;
  }

  const Environment &environment_;
  const PrepareOptions &options_;
  const Definition definition_;
  const std::string hash_;
  const EnvironmentLayout layout_;
  const Layout &workspace_;
  BuildTools tools_;
  const MakeRequest request_;
  const KindRow &kind_;
  PrepareReport report_;
  UniqueFd lock_;
  bool made_ = false, told_ = false;
};

Json Failure(const Error &error) {
  Json report = Json::Object();
  report.Set("error", error.what()).Set("status", static_cast<int32_t>(error.status()));
  return report;
}

Json Success(const PrepareReport &made) {
  Json report = Json::Object();
  report.Set("hash", made.hash)
      .Set("kind", made.prepared.kind)
      .Set("python", made.prepared.python)
      .Set("reused", made.reused);
  if (made.ready.is_null()) return report;
  report.Set("directory", made.directory).Set("packages", made.ready.Get("packages"));
  if (const std::string image = made.ready.GetString("image", ""); !image.empty()) report.Set("image", image);
  return report;
}

}  // namespace

PrepareReport PrepareEnvironment(const Environment &environment, const Layout &workspace,
                                 const PrepareOptions &options) {
  if (environment.IsSystem()) {
    PrepareReport report;
    report.prepared.variables = environment.variables;
    return report;
  }
  try {
    return Preparation(environment, workspace, options).Run();
  } catch (const Error &error) {
    if (error.status() == Status::kCanceled) throw;
    Error::Details details = error.details();
    details["code"] = "environment";
    // What tools say may hold what they have from their own configuration.
    const std::string message = "environment '" + environment.name + "' cannot be made: " + MaskUrls(error.what());
    if (!options.log.empty()) AppendFile(options.log, message + "\n");
    throw Error(error.status(), message, details);
  }
}

std::vector<std::string> EnvironmentProblems(const Environment &environment, const Layout &workspace) {
  if (environment.IsSystem()) return {};
  try {
    const Definition definition = ReadDefinition(environment);
    const EnvironmentLayout layout = workspace.Environment(environment.ContentHash());
    BuildTools tools("", "environment-" + RandomBase32(10), [] { return true; });
    KindOf(environment, definition, &tools).check({environment, definition, layout, workspace, tools});
  } catch (const Error &error) {
    return {error.what()};
  }
  return {};
}

void CheckEnvironmentTask(const std::string &request, const std::string &workspace, const std::string &report_path) {
  const Environment environment = Environment::FromJson(Json::Parse(request, "request").Get("environment"));
  Json report = Json::Object();
  report.Set("problems", EnvironmentProblems(environment, Layout(workspace)));
  WriteFileAtomic(report_path, report.Dump(), 0600, /*sync=*/false);
}

int BuildEnvironmentTask(const std::string &request_text, const std::string &workspace, const std::string &directory,
                         int64_t host_pid, int64_t host_start_time) {
  const Json request = Json::Parse(request_text, "request");
  Environment environment = Environment::FromJson(request.Get("environment"));
  environment.registry.password = request.GetString("password", "");
  // Nobody else wants the report; when the host goes, so does the build.
  int64_t last_look_ms = 0;
  bool host_alive = true;
  PrepareOptions options;
  options.log = JoinPath(directory, "log");
  options.marker = "environment-" + RandomBase32(10);
  options.go_on = [&] {
    const int64_t now = MonotonicMs();
    if (now - last_look_ms >= kHostLookMs) host_alive = host_alive && IsProcessAlive(host_pid, host_start_time, "");
    if (now - last_look_ms >= kHostLookMs) last_look_ms = now;
    return host_alive;
  };
  Json report;
  try {
    report = Success(PrepareEnvironment(environment, Layout(workspace), options));
  } catch (const Error &error) {
    report = Failure(error);
  }
  if (host_alive) {
    WriteFileAtomic(JoinPath(directory, "report.json"), report.Dump(), 0600, /*sync=*/false);
  } else if (BaseName(directory).starts_with("trainyard-build")) {
    RemoveTree(directory);
  }
  return 0;
}

}  // namespace trainyard
