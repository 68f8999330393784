#include "drivers/transcript.h"

#include "core/records_json.h"
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

void WriteSummary(int output, const RunRecord &run) {
  std::string text = "\nExecution Summary\n=================\nRunId: " + run.id +
                     "\nStatus: " + std::string(RunStateName(run.state)) + "\n";
  if (run.state == RunState::kFailed) text += "Error: " + RunErrorToJson(run.error).DumpPretty();
  Write(output, text);
}

}  // namespace

RunState PrintTranscript(Driver *driver, const std::string &run_id, int output) {
  if (output < 0) return driver->Wait(run_id, kForever);
  Write(output, "RunId: " + run_id + "\n");
  const auto events = driver->Events(run_id, "", kEventState | kEventLog);
  bool log_started = false;
  while (true) {
    const auto event = events->Next(kForever);
    if (!event) {
      if (events->ended()) break;
      continue;
    }
    if (event->kind != kEventLog || event->rank != 0) continue;
    if (!log_started) WriteHeading(output, "user_logs/std_log.txt");
    log_started = true;
    Write(output, event->text + "\n");
  }
  const RunRecord run = driver->GetRun(run_id);
  WriteSummary(output, run);
  return run.state;
}

}  // namespace trainyard
