#include "runner/supervise.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>

#include "core/job.h"
#include "drivers/local/git_source.h"
#include "drivers/local/preflight.h"
#include "drivers/local/settle.h"
#include "engine/runtime.h"
#include "launch/local/rank_process.h"
#include "runner/attempt.h"
#include "runner/declared_failure.h"
#include "runner/environment/prepare_environment.h"
#include "runner/git_status.h"
#include "runner/inputs/fetch_inputs.h"
#include "runner/master_port.h"
#include "runner/prepare.h"
#include "runner/rank_environment.h"
#include "runner/relaunch.h"
#include "runner/run_beat.h"
#include "runner/run_book.h"
#include "runner/run_place.h"
#include "runner/secret_mask.h"
#include "store/metric_gate.h"
#include "store/store.h"
#include "util/boot.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/process.h"

namespace trainyard {
namespace {

constexpr int64_t kLockPatienceMs = 5000;
// Of a torchrun: its workers' tracebacks and its own, which comes last.
constexpr size_t kNodeTailLines = 1000;
constexpr int64_t kFoldEveryMs = 10000;
constexpr uint64_t kLargeJournalBytes = 4 << 20;
constexpr int64_t kGitPatienceMs = 2000;  // the run waits for no longer

// An observer may hold it for the moment in which it finds out that we are only just coming.
UniqueFd TakeRunLock(const RunLayout &layout) {
  UniqueFd fd = OpenFile(layout.Lock(), O_RDWR | O_CREAT);
  const int64_t deadline = MonotonicMs() + kLockPatienceMs;
  while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (MonotonicMs() >= deadline) {
      throw Error(Status::kBusy, "another process supervises the run (it holds '" + layout.Lock() + "')");
    }
    usleep(2000);
  }
  // From now on a free lock means that the supervisor has died (drivers/local/settle.cc).
  const std::string text = std::to_string(getpid()) + "\n";
  [[maybe_unused]] const ssize_t count = pwrite(fd.get(), text.data(), text.size(), 0);
  return fd;
}

const char *LauncherOf(const Job &job) {
  if (job.distribution && job.distribution->kind == Distribution::Kind::kMpi) return "mpi";
  return job.distribution && job.distribution->node_count > 1 ? "nodes" : "local";
}

class Supervisor {
 public:
  explicit Supervisor(const SuperviseOptions &options)
      : options_(options),
        layout_(Layout(AbsolutePath(options.workspace)).Run(options.run_id)),
        mask_(options.secrets),
        lock_(TakeRunLock(layout_)),
        store_(std::make_unique<Store>(options.workspace, OpenOptions())),
        run_(store_->runs().Get(options.run_id)),
        book_(store_.get(), options.run_id, ThisProcess()) {
    if (IsFinal(run_.state)) {
      throw Error::InvalidState("run '" + run_.id + "' is " + std::string(RunStateName(run_.state)) + " already");
    }
  }

  // Before the host is answered: it stands in line for this run until then, and no longer.
  void TakePlace() {
    OpenLog();
    RaiseFileLimit();
    Outcome(layout_).Reserve();
    beat_.emplace(layout_);
    job_ = Job::Parse(run_.job_json, "job");
    place_.emplace(job_, run_, store_.get(), options_.place, &*beat_);
    place_->Hold();
  }

  void Run() {
    RunState final_state = RunState::kFailed;
    RunError error;
    try {
      final_state = Execute(&error);
    } catch (const Error &failure) {
      error = ErrorFor(failure);
      if (failure.status() == Status::kCanceled && beat_->end_requested()) final_state = RunState::kCanceled;
    } catch (const std::exception &failure) {
      error.code = "runner";
      error.message = std::string("the supervisor failed: ") + failure.what();
    }
    if (final_state != RunState::kFailed) error = RunError();
    Finish(final_state, error);
  }

 private:
  static DatabaseOptions OpenOptions() {
    DatabaseOptions options;
    options.create = false;
    return options;
  }

  void OpenLog() {
    const int fd = open(layout_.RunnerLog().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const UniqueFd log(fd >= 0 ? fd : open("/dev/null", O_WRONLY | O_CLOEXEC));
    dup2(log.get(), STDOUT_FILENO);
    dup2(log.get(), STDERR_FILENO);
    SetLogSink([mask = mask_](LogLevel level, const std::string &message) {
      static constexpr std::array<const char *, 4> kNames = {"debug", "info", "warning", "error"};
      const std::string line =
          FormatUtc(NowUnixMs()) + " " + kNames[static_cast<size_t>(level)] + " " + mask.Apply(message) + "\n";
      [[maybe_unused]] const ssize_t count = write(STDERR_FILENO, line.data(), line.size());
    });
  }

  static RunError ErrorFor(const Error &failure) {
    RunError error;
    error.message = failure.what();
    if (const auto code = failure.details().find("code"); code != failure.details().end()) {
      error.code = code->second;
      return error;
    }
    switch (failure.status()) {
      case Status::kNoSpace:
        error.code = "no_space";
        break;
      case Status::kNetwork:
        error.code = "network";
        break;
      case Status::kCorrupt:
        error.code = "corrupt";
        break;
      case Status::kNotFound:
        error.code = "not_found";
        break;
      case Status::kInvalidArgument:
        error.code = "invalid_job";
        break;
      default:
        error.code = "runner";
    }
    if (const auto code = failure.details().find("code"); code != failure.details().end()) error.code = code->second;
    return error;
  }

  RunState Execute(RunError *error) {
    book_.Advance(RunState::kPreparing);
    for (const std::string &warning : run_.warnings) Log(LogLevel::kWarning, warning);
    std::optional<GitStatus> git;
    if (run_.properties.contains(kGitCommitProperty)) git.emplace(job_.source_directory, kGitPatienceMs);
    PrepareWeights();
    PrepareInputs();
    PrepareSoftware();
    PrepareCode(run_, store_.get());
    if (git) NoteGitStatus(&*git);
    book_.Advance(RunState::kQueued);
    if (!AwaitPlace()) return RunState::kCanceled;
    return RunAttempts(error);
  }

  RunState RunAttempts(RunError *error) {
    MasterPort port(place_->machine_directory(), job_.distribution ? job_.distribution->master_port : 0);
    Relaunches relaunches(job_, port.chosen_here());
    int64_t left_ms = job_.resources.time_limit_ms;
    for (int32_t number = 0;; ++number) {
      const int64_t start_ms = MonotonicMs();
      const int64_t deadline_ms = left_ms > INT64_MAX / 2 ? INT64_MAX : start_ms + left_ms;
      const AttemptResult result = RunAttempt(Plan(number, relaunches.restarts(), port.number(), deadline_ms), &*beat_);
      place_->Started();  // if it was not: no rank came up
      environment_.CleanUp(run_.id);
      left_ms -= MonotonicMs() - start_ms;
      processes_ended_ += result.processes_ended;
      processes_left_ = static_cast<int64_t>(result.left.size());
      *error = result.error;
      if (result.end == AttemptResult::End::kCompleted) return CompletedOrDeclared(error);
      if (result.end == AttemptResult::End::kCanceled) return CanceledOrLeft(error);
      if (result.end == AttemptResult::End::kPreempted) {
        if (processes_left_ > 0) return CanceledOrLeft(error);
        if (!AwaitPlaceAgain(number)) return RunState::kCanceled;
        continue;
      }
      if (!MayStartAgain(result)) return RunState::kFailed;
      const Relaunches::Answer answer = relaunches.After(result.error, result.port_taken);
      if (answer == Relaunches::Answer::kNo) return RunState::kFailed;
      if (answer == Relaunches::Answer::kOtherPort) port.Move();
      Log(LogLevel::kWarning, "attempt " + std::to_string(number) + " failed, starting again: " + error->message);
      Try("collect the metrics", [&] { store_->metrics().Fold(run_.id, true); });
    }
  }

  // All ranks ended well; one of them may have said that the run failed all the same.
  RunState CompletedOrDeclared(RunError *error) const {
    const auto declared = DeclaredFailure(layout_);
    if (!declared) return RunState::kCompleted;
    *error = *declared;
    error->node = HostName();
    return RunState::kFailed;
  }

  // Before what may take long: nobody behind this run waits for it, and the record says how far it is.
  void LetOthersPass() {
    place_->StepAside();
    book_.Commit();
  }

  // The job's environment, made when it is not there yet.
  void PrepareSoftware() {
    if (!job_.environment_definition) return;
    Environment &environment = *job_.environment_definition;
    const auto password = options_.secrets.find(kRegistryPasswordSecret);
    if (password != options_.secrets.end()) environment.registry.password = password->second;
    PrepareOptions options;
    options.log = environment.IsSystem() ? "" : layout_.EnvironmentBuildLog();
    options.marker = run_.id;
    options.go_on = [this] { return !beat_->end_requested(); };
    options.on_make = [this] { LetOthersPass(); };
    PrepareReport report = PrepareEnvironment(environment, store_->layout(), options);
    environment_ = std::move(report.prepared);
    environment_hash_ = report.hash;
    for (const auto &[name, value] : environment_.variables) job_.variables.emplace(name, value);
    if (!report.hash.empty()) Log(LogLevel::kInfo, "environment " + report.hash + (report.reused ? " reused" : ""));
  }

  void PrepareWeights() {
    if (const auto url = options_.secrets.find(kWeightsUrlSecret); url != options_.secrets.end())
      job_.train->SetString("model.weights", url->second);
    if (NeedsDownload(job_, store_.get())) LetOthersPass();
    weights_path_ = ResolveWeights(job_, store_.get(), [this] { return !beat_->end_requested(); });
  }

  // Once for all attempts: what a run has downloaded stays its own.
  void PrepareInputs() {
    for (auto &[name, input] : job_.inputs) {
      const auto url = options_.secrets.find(kInputUrlSecret + name);
      if (url != options_.secrets.end()) input.location = url->second;
    }
    if (NeedsFetch(job_)) LetOthersPass();
    inputs_ = FetchInputs(&job_, store_.get(), run_.id, [this] { return !beat_->end_requested(); });
    for (const auto &[name, sha256] : inputs_.sha256) book_.SetProperty(InputHashProperty(name), sha256);
  }

  void NoteGitStatus(GitStatus *git) {
    if (const auto dirty = git->Wait()) book_.SetProperty("azureml.git.dirty", *dirty ? "True" : "False");
  }

  // Canceled says that nothing is left.
  RunState CanceledOrLeft(RunError *error) const {
    if (processes_left_ == 0) return RunState::kCanceled;
    error->code = "processes_left";
    error->message = std::to_string(processes_left_) +
                     " of the run's processes could not be ended; look for TRAINYARD_RUN_ID=" + run_.id +
                     " in /proc/*/environ";
    return RunState::kFailed;
  }

  bool MayStartAgain(const AttemptResult &result) const {
    if (result.end != AttemptResult::End::kFailed) return false;
    return !beat_->end_requested() && processes_left_ == 0;
  }

  // Waits until the run can start. False when it is not wanted any more.
  bool AwaitPlace() {
    const bool got = place_->Await([&] {
      // Many may wait for long: keep nothing that can be had again.
      book_.Commit();
      store_->database().Suspend();
      malloc_trim(0);
    });
    if (got) book_.Advance(RunState::kRunning);
    return got;
  }

  // The ranks were ended for a run of higher priority: back into the line, at the old place.
  bool AwaitPlaceAgain(int32_t attempt) {
    Log(LogLevel::kInfo, "attempt " + std::to_string(attempt) + " made room for a run of higher priority");
    Try("collect the metrics", [&] { store_->metrics().Fold(run_.id, true); });
    book_.Advance(RunState::kQueued);
    book_.Commit();
    place_->Yield();
    beat_->Preempted();
    return AwaitPlace();
  }

  AttemptPlan Plan(int32_t number, int32_t restarts, int32_t port, int64_t deadline_ms) {
    AttemptPlan plan(layout_);
    for (int32_t rank = 0; rank < job_.RankCount(); ++rank) RemoveFile(layout_.RankError(rank));
    plan.number = number;
    plan.is_train = job_.kind == RunKind::kTrain;
    plan.is_shell = !job_.shell_command.empty();
    plan.deadline_ms = deadline_ms;
    plan.time_limit_ms = job_.resources.time_limit_ms;
    plan.launch.run_id = run_.id;
    plan.memory_limit_bytes = job_.resources.memory_bytes * static_cast<uint64_t>(NodeCount());
    plan.gpus = place_->Gpus();
    plan.launch.nodes = place_->Nodes();
    plan.launch.master_address = plan.launch.nodes.front().address;
    plan.launch.mpi = place_->Mpi(layout_.SystemLogs() + "/hostfile");
    plan.launcher = LauncherOf(job_);
    if (job_.distribution && job_.distribution->kind == Distribution::Kind::kPyTorchPerNode) {
      plan.launch.tail_lines = kNodeTailLines;
    }
    plan.launch.command = Command();
    plan.launch.expand_from = job_.FirstExpandedWord();
    plan.launch.working_directory = layout_.Code();
    plan.launch.variables = Variables(number, restarts);
    plan.launch.unset = {kSupervisorVariable};
    plan.launch.log_directory = layout_.UserLogs();
    plan.launch.system_log_directory = layout_.SystemLogs();
    plan.launch.master_port = port;
    plan.launch.canceled = [this, deadline_ms] { return beat_->cancel_requested() || MonotonicMs() >= deadline_ms; };
    environment_.Apply(layout_.Root(), inputs_.read_only, job_.resources.memory_bytes, &plan.launch);
    plan.on_start = [this] {
      if (!running_) book_.set_started_ms(NowUnixMs());
      running_ = true;
      book_.Commit();
      place_->Started();
    };
    plan.on_tick = [this] { Tick(); };
    return plan;
  }

  std::vector<std::string> Command() const {
    if (job_.kind == RunKind::kTrain) return {"/proc/self/exe", "train", options_.workspace, run_.id};
    const bool python = job_.kind == RunKind::kScript && LanguageOf(job_.script) == ScriptLanguage::kPython;
    if (!python) return job_.Command("");
    return job_.Command(environment_.python.empty() ? FindPython(job_) : environment_.python);
  }

  std::map<std::string, std::string> Variables(int32_t attempt, int32_t restarts) const {
    RankEnvironment environment;
    environment.job = &job_;
    environment.run = &run_;
    environment.workspace = store_->layout().Root();
    environment.secrets = options_.secrets;
    std::erase_if(environment.secrets, [](const auto &secret) { return secret.first.starts_with(kOwnSecretPrefix); });
    environment.weights_path = weights_path_;
    environment.runtime_directory = RuntimeDirectory();
    environment.library = LibraryPath();
    environment.node_count = NodeCount();
    environment.attempt = attempt;
    environment.restarts = restarts;
    std::map<std::string, std::string> variables = MakeRankVariables(environment);
    variables.merge(place_->Defaults());
    return variables;
  }

  int32_t NodeCount() const { return job_.distribution ? job_.distribution->node_count : 1; }

  // A power cut loses at most a second of metrics and log lines; long runs do not pile up journals.
  void Tick() {
    try {
      SyncJournals(layout_.Journal());
      for (int32_t rank = 0; rank < job_.RankCount(); ++rank) SyncLog(rank);
      if (MonotonicMs() - last_fold_ms_ < kFoldEveryMs) return;
      last_fold_ms_ = MonotonicMs();
      store_->metrics().Fold(run_.id, false);
      book_.Commit();
    } catch (const Error &error) {
      if (error.status() == Status::kInvalidState) throw;
      Log(LogLevel::kWarning, std::string("housekeeping: ") + error.what());
    }
  }

  void SyncLog(int32_t rank) {
    const std::string path = layout_.StdLog(rank, job_.RankCount());
    const auto info = Stat(path);
    uint64_t &synced = synced_bytes_[rank];
    if (!info || info->size == synced) return;
    synced = info->size;
    SyncFile(path);
  }

  uint64_t JournalBytes() const {
    uint64_t bytes = 0;
    for (const DirEntry &entry : ListDir(layout_.Journal())) {
      const auto info = Stat(JoinPath(layout_.Journal(), entry.name));
      bytes += info ? info->size : 0;
    }
    return bytes;
  }

  void Try(const char *what, const std::function<void()> &work) {
    try {
      work();
    } catch (const Error &error) {
      if (error.status() == Status::kInvalidState) throw;
      Log(LogLevel::kError, std::string("cannot ") + what + ": " + error.what());
    }
  }

  void Finish(RunState state, RunError error) {
    if (state != RunState::kCanceled && running_) book_.Advance(RunState::kFinalizing);
    Try("collect the outputs", [&] { CollectOutputs(layout_); });
    // Who logs from outside gets in before the fold, or is told that the run has ended.
    MetricGate gate(layout_);
    gate.Close();
    Try("collect the metrics", [&] {
      if (JournalBytes() > kLargeJournalBytes) book_.Commit();
      store_->metrics().Fold(run_.id, true);
    });
    error.message = mask_.Apply(error.message);
    error.stderr_tail = mask_.Apply(error.stderr_tail);
    error.details_json = mask_.Apply(error.details_json);
    std::map<std::string, std::string> properties = {{"trainyard.processes_ended", std::to_string(processes_ended_)},
                                                     {"trainyard.processes_left", std::to_string(processes_left_)}};
    if (!environment_hash_.empty()) properties["trainyard.environment_hash"] = environment_hash_;
    book_.Finish(state, error, properties);
    Log(LogLevel::kInfo, "the run is " + std::string(RunStateName(state)) + "; processes ended: " +
                             std::to_string(processes_ended_) + ", left: " + std::to_string(processes_left_));
  }

  const SuperviseOptions &options_;
  const RunLayout layout_;
  const SecretMask mask_;
  const UniqueFd lock_;  // until the process ends
  const std::unique_ptr<Store> store_;
  const RunRecord run_;
  RunBook book_;
  Job job_;
  std::optional<RunBeat> beat_;
  std::optional<RunPlace> place_;
  std::string weights_path_;
  FetchedInputs inputs_;
  PreparedEnvironment environment_;
  std::string environment_hash_;  // empty = the system's
  std::map<int32_t, uint64_t> synced_bytes_;
  bool running_ = false;  // ranks have run
  int64_t last_fold_ms_ = MonotonicMs();
  int64_t processes_ended_ = 0, processes_left_ = 0;
};

}  // namespace

int Supervise(const SuperviseOptions &options) {
  std::optional<Supervisor> supervisor;
  try {
    supervisor.emplace(options);
    supervisor->TakePlace();
  } catch (const std::exception &error) {
    ReportDetachedError(options.result_fd, error.what());
    return 1;
  }
  ReportDetached(options.result_fd);
  try {
    supervisor->Run();
  } catch (const std::exception &error) {
    // Whoever looks at the run next settles it: the lock goes with this process.
    Log(LogLevel::kError, std::string("the supervisor gives up: ") + error.what());
    return 1;
  }
  return 0;
}

}  // namespace trainyard
