#include "runner/attempt.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>

#include "launch/blame.h"
#include "launch/worker_report.h"
#include "runner/memory_guard.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr std::chrono::seconds kCancelGrace{5};  // as ty_run_cancel says
constexpr std::chrono::seconds kLeftoverGrace{2};
constexpr int64_t kPreemptGraceMs = 30000;  // to write a checkpoint; as ty_job_set_preemptible says
constexpr int64_t kTickMs = 1000;
// Not at once: a rank that has just been started uses nothing yet.
constexpr int64_t kFirstSampleMs = 200;
constexpr int64_t kSampleEveryMs = 5000;
// A rank that lost its peers ends before the one that left them has written its traceback: how long to wait for it.
constexpr int64_t kEvidenceMs = 5000;

class Attempt {
 public:
  Attempt(const AttemptPlan &plan, RunBeat *beat)
      : plan_(plan),
        beat_(beat),
        launcher_(MakeLauncher(plan.launcher)),
        sampler_(plan.layout.Journal(), plan.number, plan.gpus),
        memory_(plan.memory_limit_bytes) {}

  AttemptResult Run() {
    try {
      launcher_->Start(plan_.launch);
    } catch (const Error &error) {
      DescribeStart(error);
      EndAll(std::chrono::seconds(0));
      return result_;
    }
    plan_.on_start();
    Watch();
    return result_;
  }

 private:
  using End = AttemptResult::End;

  void Watch() {
    int64_t next_tick = MonotonicMs() + kTickMs;
    int64_t next_sample = MonotonicMs() + kFirstSampleMs;
    for (;;) {
      Collect();
      const int64_t now = MonotonicMs();
      if (Decide(now)) return;
      if (now >= next_sample) {
        Sample();
        next_sample = now + kSampleEveryMs;
      }
      if (now >= next_memory_ms_) LookAtMemory(now);
      if (now >= next_tick) {
        plan_.on_tick();
        next_tick = now + kTickMs;
      }
      int64_t until = std::min({next_tick, next_sample, next_memory_ms_});
      until = std::min(until, preempt_until_ms_ > 0 ? preempt_until_ms_ : plan_.deadline_ms);
      if (evidence_until_ms_ > 0) until = std::min(until, evidence_until_ms_);
      pollfd entries[2] = {{launcher_->descriptor(), POLLIN, 0}, {beat_->descriptor(), POLLIN, 0}};
      poll(entries, 2, static_cast<int>(std::max<int64_t>(0, until - MonotonicMs())));
      if (entries[1].revents != 0) beat_->Clear();
    }
  }

  void Collect() {
    while (auto exit = launcher_->TakeExit()) {
      blame_.Add(*exit);
      exits_.push_back(std::move(*exit));
    }
  }

  // True when the attempt is over and all is ended.
  bool Decide(int64_t now) {
    if (beat_->cancel_requested()) return Finish(End::kCanceled, kCancelGrace);
    const bool all_ended = launcher_->live_ranks() == 0 && exits_.size() == RankCount();
    if (preempt_until_ms_ > 0) {
      // However they end now, they will be started again.
      return (all_ended || now >= preempt_until_ms_) && Finish(End::kPreempted, kLeftoverGrace);
    }
    const auto blamed = blame_.blamed();
    if (all_ended) {
      return Finish(blamed ? End::kFailed : End::kCompleted, kLeftoverGrace);
    }
    if (now >= plan_.deadline_ms) return Finish(End::kTimeLimit, kCancelGrace);
    if (memory_used_ > 0) return Finish(End::kMemoryLimit, kLeftoverGrace);
    if (blamed) {
      const bool certain = blame_.evidence() != Evidence::kEcho;
      if (evidence_until_ms_ == 0) evidence_until_ms_ = now + kEvidenceMs;
      if (certain || now >= evidence_until_ms_) return Finish(End::kFailed, kLeftoverGrace);
    }
    // A run that is about to end, well or not, gives its place away soon enough.
    if (beat_->preempt_requested() && !blamed && !beat_->stop_requested()) {
      launcher_->SignalRanks(SIGTERM, plan_.is_shell);
      preempt_until_ms_ = now + kPreemptGraceMs;
    }
    if (beat_->stop_requested() && !stop_sent_) {
      stop_sent_ = true;
      if (!plan_.is_train) launcher_->SignalRanks(SIGTERM, plan_.is_shell);
    }
    return false;
  }

  bool Finish(End end, std::chrono::milliseconds grace) {
    Sample();
    result_.end = end;
    EndAll(grace);
    Collect();
    sampler_.Close();
    if (end == End::kFailed) {
      result_.error = DescribeExit(exits_[blame_.blamed().value_or(0)], plan_.layout, stop_sent_);
      result_.error.details_json = Details().Dump();
      result_.port_taken = std::any_of(exits_.begin(), exits_.end(), [](const RankExit &exit) {
        return exit.rank == 0 && exit.failed() && SaysPortTaken(exit.stderr_tail);
      });
    } else if (end == End::kTimeLimit) {
      result_.error = TimeLimitError();
      result_.error.stderr_tail = LastWords();
    } else if (end == End::kMemoryLimit) {
      result_.error.code = "memory_limit";
      result_.error.message = memory_.Message(memory_used_);
      result_.error.node = plan_.launch.nodes[0].name;
      result_.error.stderr_tail = LastWords();
      Json details = Json::Object();
      details.Set("used_bytes", memory_used_).Set("allowed_bytes", plan_.memory_limit_bytes);
      result_.error.details_json = details.Dump();
    }
    return true;
  }

  // Why the ranks do not run.
  void DescribeStart(const Error &error) {
    if (error.status() == Status::kCanceled) {
      result_.end = beat_->cancel_requested() ? End::kCanceled : End::kTimeLimit;
      result_.error = TimeLimitError();
      return;
    }
    result_.end = End::kFailed;
    result_.error.code = "start_failed";
    result_.error.message = error.what();
  }

  RunError TimeLimitError() const {
    RunError error;
    error.code = "time_limit";
    error.message = "the run took longer than its time limit of " + std::to_string(plan_.time_limit_ms) +
                    " ms and was ended; give it more time, or less to do";
    error.node = plan_.launch.nodes[0].name;
    return error;
  }

  std::string LastWords() const { return exits_.empty() ? launcher_->StderrTail(0) : exits_[0].stderr_tail; }

  void LookAtMemory(int64_t now) {
    memory_used_ = memory_.Excess(launcher_->Processes()).value_or(0);
    next_memory_ms_ = now + MemoryGuard::kEveryMs;
  }

  void EndAll(std::chrono::milliseconds grace) {
    const KillReport report = launcher_->Kill(grace);
    result_.processes_ended = report.ended;
    result_.left = report.left;
  }

  // Every exit in the order in which they happened.
  Json Details() const {
    Json exits = Json::Array();
    for (const RankExit &exit : exits_) {
      Json json = Json::Object();
      json.Set("rank", exit.rank).Set("order", exit.order).Set("ended_by_supervisor", exit.after_kill);
      if (exit.exit_code) json.Set("exit_code", *exit.exit_code);
      if (!exit.exit_code) json.Set("signal", SignalName(exit.signal));
      exits.Append(json);
    }
    Json details = Json::Object();
    details.Set("attempt", plan_.number).Set("exits", exits);
    return details;
  }

  void Sample() { sampler_.Sample(launcher_->Processes()); }
  size_t RankCount() const {
    size_t count = 0;
    for (const LaunchNode &node : plan_.launch.nodes) count += static_cast<size_t>(node.process_count);
    return count;
  }

  const AttemptPlan &plan_;
  RunBeat *beat_;
  const std::unique_ptr<Launcher> launcher_;
  Sampler sampler_;
  const MemoryGuard memory_;
  std::vector<RankExit> exits_;
  Blame blame_;
  AttemptResult result_;
  int64_t next_memory_ms_ = plan_.memory_limit_bytes > 0 ? 0 : INT64_MAX;
  uint64_t memory_used_ = 0;  // when it is too much
  int64_t evidence_until_ms_ = 0;
  int64_t preempt_until_ms_ = 0;  // 0 = not asked to make room
  bool stop_sent_ = false;
};

// The last lines that go into the record, of what may be more evidence.
std::string LastLines(const std::string &text) {
  constexpr size_t kLines = 50;
  const std::vector<std::string_view> lines = Split(Trim(text), '\n');
  std::string last;
  for (size_t i = lines.size() > kLines ? lines.size() - kLines : 0; i < lines.size(); ++i) {
    last += (last.empty() ? "" : "\n") + std::string(lines[i]);
  }
  return last;
}

// What the rank itself said about its failure.
void TakeErrorFile(const RunLayout &layout, RunError *error) {
  try {
    const auto text = ReadFileIfExists(layout.RankError(error->rank), 1 << 20);
    if (!text || text->empty()) return;
    const Json json = Json::Parse(*text, "error file");
    const std::string code = json.GetString("code", "");
    const std::string message = json.GetString("message", "");
    if (!code.empty()) error->code = code;
    if (!message.empty()) error->message = message;
  } catch (const Error &failure) {
    Log(LogLevel::kWarning, std::string("the rank's error file is not usable: ") + failure.what());
  }
}

}  // namespace

RunError DescribeExit(const RankExit &ended, const RunLayout &layout, bool stop_requested) {
  RankExit exit = ended;
  // A process that torchrun started speaks for its torchrun, whose own words are only about it.
  const auto worker = BlamedWorker(ended.stderr_tail);
  if (worker) {
    exit.rank = worker->rank;
    exit.exit_code = worker->exit_code;
    exit.signal = worker->signal;
    if (!worker->own_text.empty()) exit.stderr_tail = worker->own_text;
  }
  const std::string fault = worker ? FaultLine(worker->own_text) : FaultLine(exit.stderr_tail);
  RunError error;
  error.rank = exit.rank;
  error.node = exit.node;
  error.exit_code = exit.exit_code;
  error.stderr_tail = LastLines(exit.stderr_tail);
  if (exit.node_lost) {
    error.code = "node_lost";
    error.message = exit.node + " was lost with its ranks, rank " + std::to_string(exit.rank) +
                    " among them: what supervised them there is gone (killed, or the machine went down)";
    return error;
  }
  const std::string who = "rank " + std::to_string(exit.rank) + " on " + exit.node;
  if (exit.exit_code) {
    error.code = "exit_code";
    error.message = who + " ended with exit code " + std::to_string(*exit.exit_code);
    if (exit.out_of_memory) {
      error.code = "out_of_memory";
      error.message += ": its container ran out of memory; use less of it, or allow more (ty_job_set_memory)";
    } else if (!fault.empty()) {
      error.message += ": " + fault;
    }
  } else {
    error.signal = SignalName(exit.signal);
    error.code = exit.out_of_memory ? "out_of_memory" : "signal";
    error.message = who + " was ended by " + error.signal;
    if (exit.out_of_memory) error.message += ": the kernel ran out of memory; use less of it, or a larger machine";
    if (stop_requested && exit.signal == SIGTERM) {
      error.message += " after a stop was requested; to end well it has to handle SIGTERM and exit with 0";
    } else if (!fault.empty() && !exit.out_of_memory) {
      error.message += ": " + fault;
    }
  }
  TakeErrorFile(layout, &error);
  return error;
}

AttemptResult RunAttempt(const AttemptPlan &plan, RunBeat *beat) {
  return Attempt(plan, beat).Run();
}

}  // namespace trainyard
