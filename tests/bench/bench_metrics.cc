// Metrics: what one rank can append, whether a killed rank loses any, folding and reading a history of 10 million
// points.
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cinttypes>
#include <cmath>
#include <cstring>

#include "bench.h"

namespace {

using bench::Check;
using bench::NowNs;
using bench::Report;

ty_run *Current() {
  ty_run *run = nullptr;
  ty_error *error = nullptr;
  Check(ty_run_current(&run, &error), error, "current");
  return run;
}

// Rank: `count` points, one call each; prints points per second.
int AppendSingle(int64_t count) {
  ty_run *run = Current();
  ty_error *error = nullptr;
  const int64_t start = NowNs();
  for (int64_t i = 0; i < count; ++i)
    Check(ty_run_log_metric(run, "loss", static_cast<double>(i), i, &error), error, "log");
  std::printf("%.6g\n", static_cast<double>(count) / (static_cast<double>(NowNs() - start) / 1e9));
  ty_run_free(run);
  return 0;
}

// Rank: `count` points in batches of 1000.
int AppendBatched(int64_t count) {
  ty_run *run = Current();
  ty_error *error = nullptr;
  std::vector<double> values(1000);
  std::vector<int64_t> steps(1000);
  const int64_t start = NowNs();
  for (int64_t i = 0; i < count; i += 1000) {
    for (int64_t k = 0; k < 1000; ++k) {
      values[static_cast<size_t>(k)] = std::sin(static_cast<double>(i + k) * 1e-3);
      steps[static_cast<size_t>(k)] = i + k;
    }
    Check(ty_run_log_metrics(run, "loss", values.data(), steps.data(), 1000, &error), error, "log");
  }
  std::printf("%.6g\n", static_cast<double>(count) / (static_cast<double>(NowNs() - start) / 1e9));
  ty_run_free(run);
  return 0;
}

// Rank: appends until it kills itself, after it wrote down how many points were acknowledged.
int AppendAndDie(int64_t count) {
  ty_run *run = Current();
  ty_error *error = nullptr;
  for (int64_t i = 0; i < count; ++i)
    Check(ty_run_log_metric(run, "loss", static_cast<double>(i), i, &error), error, "log");
  kill(getpid(), SIGKILL);
  return 0;
}

ty_run *RunRank(bench::Workspace *workspace, const char *what, const char *count, ty_run_state wanted) {
  ty_run *run = workspace->Submit({bench::Self(), what, count});
  const ty_run_state state = bench::Wait(run);
  if (state != wanted)
    std::exit(std::fprintf(stderr, "%s ended as %s\n%s\n", what, ty_run_state_name(state), bench::Log(run).c_str()));
  return run;
}

int64_t Total(const ty_run *run) {
  ty_metric_series *series = nullptr;
  ty_error *error = nullptr;
  Check(ty_run_get_metric(run, "loss", R"({"limit":1})", &series, &error), error, "query");
  const int64_t total = ty_metric_series_total(series);
  ty_metric_series_free(series);
  return total;
}

// Milliseconds between two states of a run.
double Between(const ty_run *run, ty_run_state from, ty_run_state to) {
  ty_event_stream *stream = nullptr;
  ty_error *error = nullptr;
  Check(ty_run_events(run, nullptr, TY_EVENT_STATE, &stream, &error), error, "events");
  const ty_event *event = nullptr;
  int64_t start = 0, end = 0;
  while (ty_event_stream_next(stream, 0, &event, nullptr) == TY_OK && event != nullptr) {
    if (event->state == from) start = event->time_ms;
    if (event->state == to) end = event->time_ms;
  }
  ty_event_stream_free(stream);
  return static_cast<double>(end - start);
}

void ReadBack(const ty_run *run, int64_t count) {
  ty_error *error = nullptr;
  const int64_t start = NowNs();
  int64_t seen = 0;
  bool right = true;
  while (seen < count) {
    char query[64];
    std::snprintf(query, sizeof query, R"({"offset":%)" PRId64 R"(,"limit":100000})", seen);
    ty_metric_series *series = nullptr;
    Check(ty_run_get_metric(run, "loss", query, &series, &error), error, "page");
    const auto size = static_cast<int64_t>(ty_metric_series_size(series));
    if (size == 0) break;
    right = right && ty_metric_series_steps(series)[0] == seen;
    seen += size;
    ty_metric_series_free(series);
  }
  if (seen != count || !right) std::exit(std::fprintf(stderr, "read %" PRId64 " of %" PRId64 " points\n", seen, count));
  Report("read_10m_points_in_pages_s", static_cast<double>(NowNs() - start) / 1e9, "s");
  const int64_t middle = NowNs();
  ty_metric_series *series = nullptr;
  Check(ty_run_get_metric(run, "loss", R"({"downsample_to":1000,"limit":10000000})", &series, &error), error,
        "downsample");
  Report("downsample_10m_to_1000_s", static_cast<double>(NowNs() - middle) / 1e9, "s");
  if (ty_metric_series_size(series) == 0 || ty_metric_series_size(series) > 1000) std::exit(1);
  ty_metric_series_free(series);
}

}  // namespace

int main(int argc, char **argv) {
  if (argc == 3) {
    const int64_t count = std::atoll(argv[2]);
    if (std::strcmp(argv[1], "--single") == 0) return AppendSingle(count);
    if (std::strcmp(argv[1], "--batched") == 0) return AppendBatched(count);
    if (std::strcmp(argv[1], "--die") == 0) return AppendAndDie(count);
  }
  bench::Workspace workspace;
  std::vector<double> single, batched;
  for (int i = 0; i < 5; ++i) {
    ty_run *run = RunRank(&workspace, "--single", "2000000", TY_RUN_COMPLETED);
    single.push_back(std::atof(bench::Log(run).c_str()) / 1e6);
    if (Total(run) != 2000000) return std::fprintf(stderr, "points are missing\n");
    ty_run_free(run);
  }
  Report("metric_append_single_mpoints_per_s", bench::Quantile(single, 0.5), "Mpoints/s");
  ty_run *killed = RunRank(&workspace, "--die", "1234567", TY_RUN_FAILED);
  Report("metric_points_lost_after_kill", static_cast<double>(1234567 - Total(killed)), "points");
  ty_run_free(killed);
  ty_run *run = nullptr;
  std::vector<double> folds;
  for (int i = 0; i < 3; ++i) {
    ty_run_free(run);
    run = RunRank(&workspace, "--batched", "10000000", TY_RUN_COMPLETED);
    batched.push_back(std::atof(bench::Log(run).c_str()) / 1e6);
    folds.push_back(Between(run, TY_RUN_FINALIZING, TY_RUN_COMPLETED) / 1e3);
  }
  Report("metric_append_batched_mpoints_per_s", bench::Quantile(batched, 0.5), "Mpoints/s");
  Report("finalize_10m_points_s", bench::Quantile(folds, 0.5), "s");
  ReadBack(run, 10000000);
  ty_run_free(run);
  return 0;
}
