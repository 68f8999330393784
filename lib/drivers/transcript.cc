#include "drivers/transcript.h"

#include <algorithm>

#include "core/records_json.h"
#include "core/run_id.h"
#include "util/error.h"
#include "util/fs.h"

namespace trainyard {
namespace {

constexpr char kOutputName[] = "the transcript's descriptor";
constexpr int64_t kForever = -1;

void Write(int output, const std::string &text) {
  WriteAll(output, text.data(), text.size(), kOutputName);
}

void WriteHeading(int output, const std::string &log_name) {
  Write(output, "\nStreaming " + log_name + "\n" + std::string(log_name.size() + 10, '=') + "\n\n");
}

std::string LogName(int32_t rank, int32_t rank_count) {
  return "user_logs/" +
         (rank == kAllRanks && rank_count > 1 ? "std_log_*.txt" : StdLogName(std::max(0, rank), rank_count));
}

// The message first, for people; then everything that is known, for programs.
void WriteSummary(int output, const RunRecord &run) {
  std::string text = "\nExecution Summary\n=================\nRunId: " + run.id +
                     "\nStatus: " + std::string(RunStateName(run.state)) + "\n";
  if (run.state == RunState::kFailed) {
    text += "\nError:\n" + run.error.message + "\n";
    if (!run.error.stderr_tail.empty())
      text += "\nThe last lines of its standard error:\n" + run.error.stderr_tail + "\n";
    text += "\n" + RunErrorToJson(run.error).DumpPretty();
  }
  Write(output, text);
}

void CheckRank(const RunRecord &run, int32_t rank) {
  if (rank == kAllRanks || (rank >= 0 && rank < run.rank_count)) return;
  throw Error::NotFound("run '" + run.id + "' has no rank " + std::to_string(rank) + ": it has ranks 0 to " +
                            std::to_string(run.rank_count - 1),
                        {{"run_id", run.id}});
}

}  // namespace

RunState PrintTranscript(Driver *driver, const std::string &run_id, int output, int32_t rank) {
  const RunRecord start = driver->GetRun(run_id);
  CheckRank(start, rank);
  if (output < 0) return driver->Wait(run_id, kForever);
  Write(output, "RunId: " + run_id + "\n");
  const bool labelled = rank == kAllRanks && start.rank_count > 1;
  const auto events = driver->Events(run_id, "", kEventState | kEventLog);
  bool log_started = false;
  while (true) {
    const auto event = events->Next(kForever);
    if (!event) {
      if (events->ended()) break;
      continue;
    }
    if (event->kind != kEventLog || event->rank < 0) continue;
    if (rank != kAllRanks && event->rank != rank) continue;
    if (!log_started) WriteHeading(output, LogName(rank, start.rank_count));
    log_started = true;
    Write(output, (labelled ? "[" + std::to_string(event->rank) + "] " : "") + event->text + "\n");
  }
  const RunRecord run = driver->GetRun(run_id);
  WriteSummary(output, run);
  return run.state;
}

}  // namespace trainyard
