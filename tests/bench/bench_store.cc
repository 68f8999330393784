// Speed of the store. Prints "bench <name> <value> <unit>" lines. Usage: bench_store [points] (default 10 million)
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"  // filters are given by name
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "store/snapshot.h"
#include "store/store.h"
#include "util/clock.h"

namespace trainyard {
namespace {

double Seconds(int64_t since_ns) {
  return static_cast<double>(MonotonicNs() - since_ns) / 1e9;
}

void Report(const char *name, double value, const char *unit) {
  printf("bench %s %.6g %s\n", name, value, unit);
  fflush(stdout);
}

RunRecord Record(const std::string &id) {
  RunRecord run;
  run.id = id;
  run.experiment = "bench";
  run.job_json = "{\"command\":[\"true\"]}";
  run.job_hash = "x";
  return run;
}

void Journal(Store *store, int64_t points) {
  store->runs().Create(Record("single"), {RunState::kRunning});
  store->runs().Create(Record("batched"), {RunState::kRunning});
  {
    JournalWriter writer(store->RunPaths("single").Journal(), 0, 0);
    const int64_t start = MonotonicNs();
    for (int64_t i = 0; i < points; ++i) writer.Append("loss", static_cast<double>(i) * 0.001, i);
    Report("store_journal_append_single", static_cast<double>(points) / Seconds(start), "points/s");
  }
  {
    std::vector<double> values(1000, 0.5);
    JournalWriter writer(store->RunPaths("batched").Journal(), 0, 0);
    const int64_t start = MonotonicNs();
    for (int64_t i = 0; i < points; i += 1000) writer.AppendBatch("loss", values);
    Report("store_journal_append_batched", static_cast<double>(points) / Seconds(start), "points/s");
  }
}

void Metrics(Store *store, int64_t points) {
  MetricQuery query;
  query.name = "loss";
  int64_t start = MonotonicNs();
  query.limit = 100000;
  const MetricSeries live = store->metrics().Query("single", query);
  Report("store_query_live_first_page", Seconds(start) * 1000, "ms");
  for (const char *run : {"single", "batched"}) {
    start = MonotonicNs();
    const FoldResult folded = store->metrics().Fold(run, true);
    if (folded.points != points || live.total != points) {
      printf("bench FAILED: %lld points folded, %lld live\n", static_cast<long long>(folded.points),
             static_cast<long long>(live.total));
      exit(1);
    }
    Report((std::string("store_fold_") + run).c_str(), Seconds(start), "s");
  }
  start = MonotonicNs();
  int64_t read = 0;
  int pages = 0;
  do {
    query.offset = read;
    const MetricSeries page = store->metrics().Query("single", query);
    if (page.points.empty()) break;
    read += static_cast<int64_t>(page.points.size());
    ++pages;
  } while (read < points);
  Report("store_read_all_pages", Seconds(start), "s");
  Report("store_read_page_of_100000", Seconds(start) * 1000 / pages, "ms");
  query.offset = 0;
  query.downsample_to = 1000;
  start = MonotonicNs();
  const size_t kept = store->metrics().Query("single", query).points.size();
  Report("store_downsample_to_1000", Seconds(start), "s");
  if (read != points || kept > 1000) exit(1);
}

void Runs(Store *store) {
  constexpr int kRuns = 10000;
  // One commit each is an fsync each; the list does not care how they got in.
  store->database().Write([](Connection &db) {
    for (int i = 0; i < kRuns; ++i) {
      db.Prepare(
            "INSERT INTO runs (id, experiment, display_name, kind, state, parent_id, root_id, compute, job_hash, "
            "snapshot_id, "
            "rank_count, "
            "created_ms, started_ms, ended_ms, error, submitter, supervisor) VALUES "
            "(?,?,'',0,?,'','','local','h','',1,?,1,2,'','','')")
          .Bind("run-" + std::to_string(i))
          .Bind("exp" + std::to_string(i % 10))
          .Bind(i % 3 == 0 ? 8 : 7)
          .Bind(int64_t{1700000000000} + i)
          .Run();
      db.Prepare("INSERT INTO run_tags (run_seq, key, value) VALUES (?, 'k', ?)")
          .Bind(db.LastInsertId())
          .Bind(std::to_string(i % 100))
          .Run();
    }
  });
  const auto page = [&](const char *name, RunFilter filter) {
    store->runs().List(filter);
    const int64_t start = MonotonicNs();
    for (int i = 0; i < 20; ++i) store->runs().List(filter);
    Report(name, Seconds(start) * 1000 / 20, "ms");
  };
  page("store_list_page_of_100_in_10000", {});
  page("store_list_by_experiment", {.experiment = "exp3"});
  page("store_list_by_state", {.states = {RunState::kFailed}});
  page("store_list_by_tag", {.tags = {{"k", "42"}}});
  RunFilter deep;
  deep.page_token = "200";
  page("store_list_last_page", deep);
}

void Submit(Store *store) {
  TempDir source;
  for (int i = 0; i < 10; ++i)
    WriteFileAtomic(source.path() + "/f" + std::to_string(i) + ".py", std::string(2000 + i, 'x'), 0600, false);
  int64_t start = MonotonicNs();
  const SnapshotManifest manifest = TakeSnapshot({.directory = source.path()}, &store->objects());
  Report("store_snapshot_10_new_files", Seconds(start) * 1000, "ms");
  start = MonotonicNs();
  for (int i = 0; i < 20; ++i) TakeSnapshot({.directory = source.path()}, &store->objects());
  Report("store_snapshot_10_known_files", Seconds(start) * 1000 / 20, "ms");
  start = MonotonicNs();
  for (int i = 0; i < 20; ++i) store->runs().Create(Record("submit" + std::to_string(i)), {RunState::kStarting});
  Report("store_create_run", Seconds(start) * 1000 / 20, "ms");
  start = MonotonicNs();
  for (int i = 0; i < 20; ++i) store->runs().Transition("submit" + std::to_string(i), RunState::kRunning);
  Report("store_transition", Seconds(start) * 1000 / 20, "ms");
  start = MonotonicNs();
  RestoreSnapshot(manifest, store->objects(), source.path() + "/restored");
  Report("store_restore_10_files", Seconds(start) * 1000, "ms");
}

int Main(int argc, char **argv) {
  const int64_t points = argc > 1 ? atoll(argv[1]) : 10000000;
  const TempDir directory;
  Store store(directory.path() + "/ws");
  Submit(&store);
  Runs(&store);
  Journal(&store, points);
  Metrics(&store, points);
  return 0;
}

}  // namespace
}  // namespace trainyard

int main(int argc, char **argv) {
  return trainyard::Main(argc, argv);
}
