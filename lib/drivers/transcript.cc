#include "drivers/transcript.h"

#include <algorithm>
#include <array>
#include <optional>

#include "core/records_json.h"
#include "core/run_id.h"
#include "util/error.h"
#include "util/fs.h"

namespace trainyard {
namespace {

constexpr char kOutputName[] = "the transcript's descriptor";
constexpr char kBuildLogName[] = "system_logs/environment_build.log";
constexpr int64_t kForever = -1;
// Nothing rings when the build log grows: it is looked at while one may be written.
constexpr int64_t kBuildLookMs = 200;

std::string LogName(int32_t rank, int32_t rank_count) {
  return "user_logs/" +
         (rank == kAllRanks && rank_count > 1 ? "std_log_*.txt" : StdLogName(std::max(0, rank), rank_count));
}

// What people are told of a state; empty = nothing.
std::string StageText(RunState state, const RunRecord &run) {
  switch (state) {
    case RunState::kPreparing:
      return "Preparing";
    case RunState::kQueued:
      return "Queued: waits for its place on compute '" + run.compute + "'";
    case RunState::kRunning:
      return "Running";
    case RunState::kFinalizing:
      return "Post-processing";
    case RunState::kCancelRequested:
      return "Canceling";
    case RunState::kNotResponding:
      return "NotResponding: nothing is heard of its supervisor";
    default:
      return "";
  }
}

class Transcript {
 public:
  Transcript(Driver *driver, const RunRecord &run, int output, int32_t rank)
      : driver_(driver),
        run_(run),
        output_(output),
        rank_(rank),
        events_(driver->Events(run.id, "", kEventState | kEventLog)) {}

  RunState Print() {
    Write("RunId: " + run_.id + "\n");
    for (;;) {
      auto event = events_->Next(0);
      if (!event) {
        if (events_->ended()) break;
        TellStage();  // nothing follows at once: it lasts
        const bool building = CopyBuildLog();
        event = events_->Next(building ? kBuildLookMs : kForever);
        if (!event) continue;
      }
      if (event->kind == kEventState) {
        Enter(event->state, event->time_ms);
      } else {
        PrintLine(*event);
      }
    }
    const RunRecord end = driver_->GetRun(run_.id);
    WriteSummary(end);
    return end.state;
  }

 private:
  void Write(const std::string &text) {
    if (text.empty()) return;
    WriteToHostDescriptor(output_, text, kOutputName);
    at_line_start_ = text.back() == '\n';
  }

  void WriteHeading(const std::string &log_name) {
    Write((at_line_start_ ? "\nStreaming " : "\n\nStreaming ") + log_name + "\n" +
          std::string(log_name.size() + 10, '=') + "\n\n");
  }

  // States that passed in one step of the record did not last, and are not worth a line.
  void Enter(RunState state, int64_t time_ms) {
    // A rank's line came before the record said that it runs.
    if (ahead_of_record_ && state != RunState::kRunning && !IsFinal(state)) return;
    ahead_of_record_ = false;
    if (state == stage_) return;
    if (time_ms != stage_time_ms_) TellStage();
    CopyBuildLog();
    stage_ = state;
    stage_time_ms_ = time_ms;
    told_ = false;
    if (state == RunState::kRunning) TellStage();
  }

  void TellStage() {
    if (told_) return;
    told_ = true;
    if (const std::string text = StageText(stage_, run_); !text.empty())
      Write((at_line_start_ ? "\n" : "\n\n") + text + "\n");
  }

  // What is new in it, while the run is prepared. False: there is none to come.
  bool CopyBuildLog() {
    if (stage_ != RunState::kPreparing || !told_) return false;
    std::array<char, 16384> buffer;
    while (const size_t count =
               driver_->ReadRunLog(run_.id, kBuildLogRank, build_log_read_, buffer.data(), buffer.size())) {
      if (build_log_read_ == 0) WriteHeading(kBuildLogName);
      build_log_read_ += count;
      Write(std::string(buffer.data(), count));
    }
    return true;
  }

  void PrintLine(const Event &line) {
    if (line.rank < 0 || (rank_ != kAllRanks && line.rank != rank_)) return;
    if (stage_ < RunState::kRunning) {
      Enter(RunState::kRunning, line.time_ms);
      ahead_of_record_ = true;
    }
    if (!log_started_) WriteHeading(LogName(rank_, run_.rank_count));
    log_started_ = true;
    const bool goes_on = unfinished_rank_ == line.rank;
    if (unfinished_rank_ && !goes_on) Write("\n");
    const bool labelled = rank_ == kAllRanks && run_.rank_count > 1 && !goes_on;
    Write((labelled ? "[" + std::to_string(line.rank) + "] " : "") + line.text + (line.continued ? "" : "\n"));
    unfinished_rank_ = line.continued ? std::optional<int32_t>(line.rank) : std::nullopt;
  }

  // The message first, for people; then everything that is known, for programs.
  void WriteSummary(const RunRecord &run) {
    std::string text = at_line_start_ ? "\n" : "\n\n";
    text += "Execution Summary\n=================\nRunId: " + run.id +
            "\nStatus: " + std::string(RunStateName(run.state)) + "\n";
    if (!run.warnings.empty()) text += "\nWarnings:\n";
    for (const std::string &warning : run.warnings) text += warning + "\n";
    if (run.state == RunState::kFailed) {
      text += "\nError:\n" + run.error.message + "\n";
      if (!run.error.stderr_tail.empty())
        text += "\nThe last lines of its standard error:\n" + run.error.stderr_tail + "\n";
      text += "\n" + RunErrorToJson(run.error).DumpPretty();
    }
    Write(text);
  }

  Driver *driver_;
  const RunRecord run_;  // as it was at first
  const int output_;
  const int32_t rank_;
  const std::unique_ptr<EventStream> events_;
  RunState stage_ = RunState::kNotStarted;
  int64_t stage_time_ms_ = 0;
  bool told_ = true;  // of the stage
  bool ahead_of_record_ = false;
  bool log_started_ = false;
  std::optional<int32_t> unfinished_rank_;  // whose long line was written last, as far as it was read
  bool at_line_start_ = true;
  uint64_t build_log_read_ = 0;
};

void CheckRank(const RunRecord &run, int32_t rank) {
  if (rank == kAllRanks || (rank >= 0 && rank < run.rank_count)) return;
  throw Error::NotFound("run '" + run.id + "' has no rank " + std::to_string(rank) + ": it has ranks 0 to " +
                            std::to_string(run.rank_count - 1),
                        {{"run_id", run.id}});
}

}  // namespace

RunState PrintTranscript(Driver *driver, const std::string &run_id, int output, int32_t rank) {
  const RunRecord run = driver->GetRun(run_id);
  CheckRank(run, rank);
  if (output < 0) return driver->Wait(run_id, kForever);
  return Transcript(driver, run, output, rank).Print();
}

}  // namespace trainyard
