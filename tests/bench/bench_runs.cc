// Runs: submit to first instruction, log line to event, pages of a workspace with 10,000 runs, 200 runs in the queue.
#include <unistd.h>

#include <cinttypes>
#include <cstring>
#include <fstream>

#include "bench.h"
#include "store/store.h"

namespace {

using bench::Check;
using bench::NowNs;
using bench::Quantile;
using bench::Report;

void SubmitToFirstInstruction() {
  constexpr int kRuns = 41;
  bench::Workspace workspace;
  std::vector<double> first, calls;
  for (int i = 0; i < kRuns; ++i) {
    const int64_t start = NowNs();
    ty_run *run = workspace.Submit({bench::Self(), "--stamp"});
    calls.push_back(static_cast<double>(NowNs() - start) / 1e6);
    bench::Wait(run);
    first.push_back(static_cast<double>(std::atoll(bench::Log(run).c_str()) - start) / 1e6);
    ty_run_free(run);
  }
  Report("submit_call_ms", Quantile(calls, 0.5), "ms");
  Report("submit_to_first_instruction_ms", Quantile(first, 0.5), "ms");
  Report("submit_to_first_instruction_p95_ms", Quantile(first, 0.95), "ms");
}

// The rank: lines with the time they were written at.
int WriteLines(int count) {
  for (int i = 0; i < count; ++i) {
    char line[64];
    const int size = std::snprintf(line, sizeof line, "%" PRId64 "\n", NowNs());
    if (write(STDOUT_FILENO, line, static_cast<size_t>(size)) != size) return 1;
    usleep(10000);
  }
  return 0;
}

void LogLineToEvent() {
  bench::Workspace workspace;
  ty_run *run = workspace.Submit({bench::Self(), "--lines", "300"});
  ty_event_stream *stream = nullptr;
  ty_error *error = nullptr;
  Check(ty_run_events(run, nullptr, TY_EVENT_LOG, &stream, &error), error, "events");
  const ty_event *event = nullptr;
  std::vector<double> delays;
  while (ty_event_stream_next(stream, TY_WAIT_FOREVER, &event, nullptr) == TY_OK) {
    if (event != nullptr) delays.push_back(static_cast<double>(NowNs() - std::atoll(event->text)) / 1e6);
  }
  if (delays.size() != 300) std::exit(std::fprintf(stderr, "only %zu of 300 lines arrived\n", delays.size()));
  Report("log_line_to_event_ms", Quantile(delays, 0.5), "ms");
  Report("log_line_to_event_p99_ms", Quantile(delays, 0.99), "ms");
  ty_event_stream_free(stream);
  ty_run_free(run);
}

void ListTenThousandRuns() {
  bench::Workspace workspace;
  {
    trainyard::Store store(workspace.location());
    for (int i = 0; i < 10000; ++i) {
      trainyard::RunRecord run;
      run.id = "bench_" + std::to_string(i);
      run.experiment = "experiment" + std::to_string(i % 10);
      run.job_json = "{}";
      run.job_hash = "0";
      run.tags = {{"index", std::to_string(i)}, {"parity", i % 2 == 0 ? "even" : "odd"}};
      store.runs().Create(run);
    }
  }
  ty_error *error = nullptr;
  std::vector<double> ids, records, filtered;
  char *token = nullptr;
  for (int page = 0; page < 100; ++page) {
    const int64_t start = NowNs();
    ty_string_list *list = nullptr;
    char *next = nullptr;
    Check(ty_workspace_list_runs(workspace.get(), nullptr, 100, token, &list, &next, &error), error, "list");
    ids.push_back(static_cast<double>(NowNs() - start) / 1e6);
    if (ty_string_list_size(list) != 100) std::exit(std::fprintf(stderr, "a page of %zu\n", ty_string_list_size(list)));
    ty_string_list_free(list);
    char *json = nullptr;
    const int64_t middle = NowNs();
    Check(ty_workspace_list_runs_json(workspace.get(), nullptr, 100, token, &json, nullptr, &error), error, "list");
    records.push_back(static_cast<double>(NowNs() - middle) / 1e6);
    ty_string_free(json);
    const int64_t last = NowNs();
    Check(ty_workspace_list_runs_json(workspace.get(), R"({"experiment":"experiment3","tag":{"parity":"odd"}})", 100,
                                      nullptr, &json, nullptr, &error),
          error, "list");
    filtered.push_back(static_cast<double>(NowNs() - last) / 1e6);
    ty_string_free(json);
    ty_string_free(token);
    token = next;
  }
  ty_string_free(token);
  Report("list_page_100_of_10000_ms", Quantile(ids, 0.5), "ms");
  Report("list_page_100_of_10000_records_ms", Quantile(records, 0.5), "ms");
  Report("list_page_100_filtered_ms", Quantile(filtered, 0.5), "ms");
}

// A number from /proc/<pid>/smaps_rollup, in KiB.
double Rollup(int64_t pid, const char *key) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key, 0) == 0) return std::atof(line.c_str() + std::strlen(key));
  }
  return 0;
}

void TwoHundredQueued() {
  setenv("TRAINYARD_LOCAL_SLOTS", "1", 1);
  bench::Workspace workspace;
  std::vector<ty_run *> runs = {workspace.Submit({"sleep", "600"})};
  const int64_t start = NowNs();
  for (int i = 0; i < 200; ++i) runs.push_back(workspace.Submit({"true"}));
  Report("submit_200_runs_s", static_cast<double>(NowNs() - start) / 1e9, "s");
  sleep(3);
  const auto before = bench::Supervisors(workspace.location());
  sleep(10);
  const auto after = bench::Supervisors(workspace.location());
  double memory = 0, own = 0, ticks = 0;
  for (const auto &process : after) {
    memory += Rollup(process.pid, "Pss:");
    own += Rollup(process.pid, "Private_Dirty:");
    ticks += static_cast<double>(process.cpu_ticks);
  }
  for (const auto &process : before) ticks -= static_cast<double>(process.cpu_ticks);
  const auto count = static_cast<double>(after.size());
  Report("queued_supervisors", count, "processes");
  Report("queued_supervisor_pss_mb", memory / count / 1024, "MB");
  Report("queued_supervisor_private_dirty_mb", own / count / 1024, "MB");
  Report("queued_cpu_percent_all", ticks / static_cast<double>(sysconf(_SC_CLK_TCK)) / 10 * 100, "percent_of_one_core");
  ty_error *error = nullptr;
  const int64_t freed = NowNs();
  Check(ty_run_cancel(runs[0], &error), error, "cancel");
  for (ty_run *run : runs) {
    bench::Wait(run);
    ty_run_free(run);
  }
  Report("run_200_through_one_slot_s", static_cast<double>(NowNs() - freed) / 1e9, "s");
}

}  // namespace

int main(int argc, char **argv) {
  if (argc > 1 && std::strcmp(argv[1], "--stamp") == 0) return std::printf("%" PRId64 "\n", NowNs()) < 0;
  if (argc > 2 && std::strcmp(argv[1], "--lines") == 0) return WriteLines(std::atoi(argv[2]));
  SubmitToFirstInstruction();
  LogLineToEvent();
  ListTenThousandRuns();
  TwoHundredQueued();
  return 0;
}
