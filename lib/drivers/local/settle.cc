#include "drivers/local/settle.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>

#include "launch/launcher.h"
#include "store/metric_gate.h"
#include "util/boot.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr int64_t kLookEveryMs = 250;
const std::vector<RunState> kSupervisedStates = {RunState::kStarting, RunState::kProvisioning, RunState::kPreparing,
                                                 RunState::kQueued,   RunState::kRunning,      RunState::kFinalizing,
                                                 RunState::kPaused};

Json ErrorToJson(const RunError &error) {
  Json json = Json::Object();
  json.Set("code", error.code).Set("message", error.message).Set("rank", error.rank).Set("node", error.node);
  if (error.exit_code) json.Set("exit_code", *error.exit_code);
  json.Set("signal", error.signal).Set("stderr_tail", error.stderr_tail);
  return json;
}

RunError ErrorFromJson(const Json &json) {
  RunError error;
  error.code = json.GetString("code", "");
  error.message = json.GetString("message", "");
  error.rank = static_cast<int32_t>(json.GetInt64("rank", -1));
  error.node = json.GetString("node", "");
  if (json.Has("exit_code")) error.exit_code = static_cast<int32_t>(json.GetInt64("exit_code"));
  error.signal = json.GetString("signal", "");
  error.stderr_tail = json.GetString("stderr_tail", "");
  return error;
}

// By what it was started with, so that it is never another one; also one that has written nothing yet.
std::optional<ProcessInfo> FindSupervisor(const RunRecord &run) {
  for (const ProcessInfo &process : ListProcesses()) {
    if (run.supervisor.pid != 0 && process.pid != run.supervisor.pid) continue;
    const auto value = ProcessVariable(process.pid, kSupervisorVariable);
    if (value && *value == run.id) return process;
  }
  return std::nullopt;
}

// A supervisor that was spawned and has not yet taken the lock, or a host that is still submitting. A supervisor that
// had the lock has written into the file.
bool IsStarting(const RunRecord &run, const RunLayout &layout) {
  const auto lock_file = Stat(layout.Lock());
  if (run.supervisor.pid != 0 || (lock_file && lock_file->size > 0)) return false;
  if (IsProcessAlive(run.submitter.pid, run.submitter.start_time, run.submitter.boot_id)) return true;
  return FindSupervisor(run).has_value();
}

// The host that executes the run itself is gone, although its lock may be held: by a child that it forked. Where the
// host is another machine, or this one before it was started again, the lock alone tells.
bool IsHostGone(const RunRecord &run) {
  const ProcessIdentity &host = run.submitter;
  return run.kind == RunKind::kHost && host.boot_id == BootId() && host.hostname == HostName() &&
         !IsProcessAlive(host.pid, host.start_time, host.boot_id);
}

UniqueFd TakeLock(const RunLayout &layout) {
  UniqueFd fd(open(layout.Lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  // A workspace that cannot be written still has a file to lock.
  if (!fd.valid()) fd.Reset(open(layout.Lock().c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid() || flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return UniqueFd();
  return fd;
}

RunError RunnerDied(const RunRecord &run, const KillReport &killed) {
  RunError error;
  error.code = run.kind == RunKind::kHost ? "host_died" : "runner_died";
  error.message =
      run.kind == RunKind::kHost
          ? "the program that executed this run ended without calling ty_run_complete or ty_run_fail (killed, "
            "or it forgot); start it again"
          : "the supervisor of this run ended without a word (killed, out of memory, or the machine went "
            "down); submit the job again";
  error.node = run.kind == RunKind::kHost ? run.submitter.hostname : run.supervisor.hostname;
  Json details = Json::Object();
  details.Set("state_before", RunStateName(run.state)).Set("processes_ended", killed.ended);
  details.Set("processes_left", killed.left.size());
  error.details_json = details.Dump();
  return error;
}

// What the run becomes, and the moves to get there.
RunChange FinalChange(const RunRecord &run, const RunLayout &layout, const KillReport &killed) {
  RunChange change;
  change.only_from = {run.state};
  RunState said = RunState::kFailed;
  RunError error;
  if (Outcome(layout).Read(&said, &error)) {
    if (!error.code.empty()) change.error = error;
  } else {
    const bool cancel = run.state == RunState::kCancelRequested || PathExists(layout.CancelFile());
    said = cancel && killed.left.empty() ? RunState::kCanceled : RunState::kFailed;
    if (said == RunState::kFailed) change.error = RunnerDied(run, killed);
  }
  if (said == RunState::kCanceled && run.state != RunState::kCancelRequested) {
    change.states.push_back(RunState::kCancelRequested);
  }
  if (said == RunState::kCompleted && !IsLegalTransition(run.state, said)) {
    change.states.push_back(RunState::kFinalizing);
  }
  change.states.push_back(said);
  change.properties = {{"trainyard.processes_ended", std::to_string(killed.ended)},
                       {"trainyard.processes_left", std::to_string(killed.left.size())}};
  return change;
}

void TryTo(const char *what, const std::string &run_id, const std::function<void()> &work) {
  try {
    work();
  } catch (const std::exception &e) {
    Log(LogLevel::kWarning, std::string("settling run ") + run_id + ": cannot " + what + ": " + e.what());
  }
}

}  // namespace

ProcessIdentity ThisProcess() {
  ProcessIdentity identity;
  identity.pid = getpid();
  identity.start_time = ProcessStartTime(identity.pid);
  identity.boot_id = BootId();
  identity.hostname = HostName();
  return identity;
}

void Outcome::Reserve() const {
  const UniqueFd fd(open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const std::string zeros(kBytes, '\0');
  if (!fd.valid() || write(fd.get(), zeros.data(), zeros.size()) < 0) return;
}

bool Outcome::Write(RunState state, const RunError &error) const {
  RunError short_error = error;
  // The end of the tail is the evidence; JSON may take six bytes for one.
  constexpr size_t kTail = 2000;
  if (short_error.stderr_tail.size() > kTail) {
    short_error.stderr_tail = short_error.stderr_tail.substr(short_error.stderr_tail.size() - kTail);
  }
  short_error.message = std::string(TruncateUtf8(SanitizeUtf8(short_error.message), 500));
  short_error.stderr_tail = SanitizeUtf8(short_error.stderr_tail);
  Json json = Json::Object();
  json.Set("state", RunStateName(state)).Set("error", ErrorToJson(short_error));
  std::string text = json.Dump();
  if (text.size() >= kBytes) return false;
  text.resize(kBytes, '\0');
  const UniqueFd fd(open(path_.c_str(), O_WRONLY | O_CLOEXEC));
  return fd.valid() && pwrite(fd.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()) &&
         fdatasync(fd.get()) == 0;
}

bool Outcome::Read(RunState *state, RunError *error) const {
  try {
    const auto text = ReadFileIfExists(path_, kBytes);
    if (!text || text->empty() || (*text)[0] == '\0') return false;
    const Json json = Json::Parse(std::string_view(*text).substr(0, text->find('\0')), "outcome");
    const auto said = RunStateFromName(json.GetString("state"));
    if (!said || !IsFinal(*said)) return false;
    *state = *said;
    *error = ErrorFromJson(json.Get("error"));
    return true;
  } catch (const Error &) {
    return false;  // half written: as good as nothing
  }
}

void CollectOutputs(const RunLayout &run) {
  const std::array<std::pair<std::string, std::string>, 2> moves = {std::pair{run.CodeOutputs(), run.Outputs()},
                                                                    std::pair{run.CodeLogs(), run.Logs()}};
  for (const auto &[from, to] : moves) {
    if (!PathExists(to) && IsDirectory(from)) RenamePath(from, to);
  }
}

bool SettleIfDead(Store *store, const std::string &run_id) {
  RunRecord run = store->runs().Get(run_id);
  if (IsFinal(run.state) || run.state == RunState::kNotStarted) return false;
  const RunLayout layout = store->RunPaths(run_id);
  const UniqueFd lock = TakeLock(layout);
  if (!lock.valid() && !IsHostGone(run)) return false;
  // From here on no supervisor can take the run; what it did before is in the record.
  run = store->runs().Get(run_id);
  if (IsFinal(run.state)) return false;
  if (run.kind != RunKind::kHost && IsStarting(run, layout)) return false;

  const ProcessTreeQuery query = RunTreeQuery(run_id, 0);
  KillReport killed;
  if (run.kind != RunKind::kHost) {
    killed = KillProcesses([&] { return FindProcessTree(query); }, std::chrono::milliseconds(500));
  }
  TryTo("collect the outputs", run_id, [&] { CollectOutputs(layout); });
  MetricGate gate(layout);
  gate.Close();
  TryTo("collect the metrics", run_id, [&] { store->metrics().Fold(run_id, true); });
  while (!IsFinal(run.state)) {
    if (store->runs().Apply(run_id, FinalChange(run, layout, killed))) return true;
    run = store->runs().Get(run_id);
  }
  return false;
}

void WriteHeartbeat(int fd, uint64_t count) {
  std::array<unsigned char, 16> bytes;
  const std::array<uint64_t, 2> words = {count, static_cast<uint64_t>(MonotonicMs())};
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(words[i / 8] >> (8 * (i % 8)));
  [[maybe_unused]] const ssize_t written = pwrite(fd, bytes.data(), bytes.size(), 0);
}

Heartbeat ReadHeartbeat(const RunLayout &run) {
  const UniqueFd fd(open(run.Heartbeat().c_str(), O_RDONLY | O_CLOEXEC));
  std::array<unsigned char, 16> bytes{};
  if (!fd.valid() || pread(fd.get(), bytes.data(), bytes.size(), 0) < 8) return {};
  std::array<uint64_t, 2> words{};
  for (size_t i = 0; i < bytes.size(); ++i) words[i / 8] |= static_cast<uint64_t>(bytes[i]) << (8 * (i % 8));
  return {words[0], static_cast<int64_t>(words[1])};
}

RunObserver::RunObserver(std::shared_ptr<Store> store, std::string run_id, int64_t silence_ms)
    : store_(std::move(store)), run_id_(std::move(run_id)), silence_ms_(silence_ms) {}

RunState RunObserver::Check() {
  const RunState state = store_->runs().State(run_id_);
  if (IsFinal(state)) return state;
  const int64_t now = MonotonicMs();
  if (last_look_ms_ >= 0 && now - last_look_ms_ < kLookEveryMs && state == last_state_) return state;
  last_look_ms_ = now;
  last_state_ = state;
  if (store_->database().read_only()) return state;
  if (!SettleIfDead(store_.get(), run_id_)) CheckHeartbeat(state);
  return store_->runs().State(run_id_);
}

void RunObserver::CheckHeartbeat(RunState state) {
  const int64_t now = MonotonicMs();
  const Heartbeat beat = ReadHeartbeat(store_->RunPaths(run_id_));
  if (last_move_ms_ < 0) {
    // Who looks for the first time goes by the beat's own time, where it is of the same clock.
    heard_ = beat.monotonic_ms > 0 && beat.monotonic_ms <= now && IsOfThisBoot();
    last_move_ms_ = heard_ ? beat.monotonic_ms : now;
  } else if (beat.count != last_beat_) {
    heard_ = true;
    last_move_ms_ = now;
  }
  last_beat_ = beat.count;
  if (beat.count == 0) return;
  const int64_t silent_ms = now - last_move_ms_;
  if (state == RunState::kCancelRequested) return RousePastCancel(now, silent_ms);
  const bool silent = silent_ms >= silence_ms_;
  RunChange change;
  if (silent && state != RunState::kNotResponding) {
    change.only_from = kSupervisedStates;
    change.states = {RunState::kNotResponding};
    store_->runs().Apply(run_id_, change);
  } else if (!silent && heard_ && state == RunState::kNotResponding) {
    RunState before = RunState::kStarting;
    for (const StateChange &past : store_->runs().History(run_id_)) {
      if (past.state != RunState::kNotResponding) before = past.state;
    }
    change.only_from = {RunState::kNotResponding};
    change.states = {before};
    store_->runs().Apply(run_id_, change);
  }
}

bool RunObserver::IsOfThisBoot() const {
  const std::string boot = store_->runs().Get(run_id_).supervisor.boot_id;
  return !boot.empty() && boot == BootId();
}

// A supervisor that was stopped (SIGSTOP, a terminal's Ctrl-Z sent to all) cannot cancel its run, and one that hangs in
// the kernel will not. Its lock goes with it: then the run is settled.
void RunObserver::RousePastCancel(int64_t now, int64_t silent_ms) {
  if (silent_ms < silence_ms_ / 2) {
    roused_ms_ = -1;
    return;
  }
  const bool kill = roused_ms_ >= 0 && now - roused_ms_ >= silence_ms_ / 2;
  if (roused_ms_ >= 0 && !kill) return;
  roused_ms_ = now;
  if (const auto supervisor = FindSupervisor(store_->runs().Get(run_id_))) {
    Log(LogLevel::kWarning, "run " + run_id_ + ": its supervisor, process " + std::to_string(supervisor->pid) +
                                ", does not react to the cancel: " + (kill ? "it is killed" : "it is continued"));
    SignalProcess(supervisor->pid, supervisor->start_time, kill ? SIGKILL : SIGCONT);
  }
}

}  // namespace trainyard
