#include "store/metric_source.h"

#include <algorithm>
#include <tuple>

#include "util/error.h"

namespace trainyard {

int64_t RunSeqOf(Connection &db, std::string_view run_id) {
  auto query = db.Prepare("SELECT seq FROM runs WHERE id = ?");
  query.Bind(run_id);
  if (!query.Step())
    throw Error::NotFound("there is no run '" + std::string(run_id) + "' in the workspace",
                          {{"run_id", std::string(run_id)}});
  return query.Int(0);
}

LiveJournals OpenLiveJournals(const std::string &directory) {
  LiveJournals live;
  for (const SegmentId &id : ListSegments(directory)) {
    try {
      live[id] = std::make_shared<JournalReader>(directory + "/" + SegmentFileName(id));
    } catch (const Error &error) {
      if (error.status() != Status::kNotFound && error.status() != Status::kCorrupt) throw;
    }
  }
  return live;
}

void DropFolded(Connection &db, int64_t run_seq, LiveJournals *live) {
  if (live->empty()) return;
  auto query = db.Prepare("SELECT rank, attempt, number FROM metric_segments WHERE run_seq = ?");
  query.Bind(run_seq);
  while (query.Step()) {
    live->erase(
        {static_cast<int32_t>(query.Int(0)), static_cast<int32_t>(query.Int(1)), static_cast<int32_t>(query.Int(2))});
  }
}

std::vector<MetricSource> FindMetricSources(Database *database, std::string_view run_id,
                                            const MetricSourceFilter &filter) {
  LiveJournals live = OpenLiveJournals(database->layout().Run(run_id).Journal());
  std::vector<MetricSource> sources;
  database->Read([&](Connection &db) {
    const int64_t run_seq = RunSeqOf(db, run_id);
    DropFolded(db, run_seq, &live);
    std::string sql =
        "SELECT c.id, s.rank, s.attempt, s.number, c.first_ordinal, c.min_step, c.max_step, c.count, n.name FROM "
        "metric_names n JOIN metric_chunks c ON c.name_id = n.id JOIN metric_segments s ON s.id = c.segment_id WHERE "
        "n.run_seq = ?";
    if (!filter.name.empty()) sql += " AND n.name = ?";
    if (filter.points_only) sql += " AND c.metric_kind = 0";
    auto rows = db.Prepare(sql);
    rows.Bind(run_seq);
    if (!filter.name.empty()) rows.Bind(filter.name);
    while (rows.Step()) {
      MetricSource source;
      source.chunk = rows.Int(0);
      source.segment = {static_cast<int32_t>(rows.Int(1)), static_cast<int32_t>(rows.Int(2)),
                        static_cast<int32_t>(rows.Int(3))};
      source.first_ordinal = rows.Int(4);
      source.min_step = rows.Int(5);
      source.max_step = rows.Int(6);
      source.count = rows.Int(7);
      source.name = rows.Text(8);
      sources.push_back(std::move(source));
    }
  });
  for (auto &[id, reader] : live) {
    MetricSource source;
    source.segment = id;
    source.reader = std::move(reader);
    sources.push_back(std::move(source));
  }
  std::erase_if(sources, [&](const MetricSource &source) {
    if (filter.rank && source.segment.rank != *filter.rank) return true;
    if (source.chunk == 0) return false;
    return (filter.first_step && source.max_step < *filter.first_step) ||
           (filter.last_step && source.min_step > *filter.last_step);
  });
  std::sort(sources.begin(), sources.end(), [](const MetricSource &a, const MetricSource &b) {
    return std::tie(a.segment, a.first_ordinal) < std::tie(b.segment, b.first_ordinal);
  });
  return sources;
}

}  // namespace trainyard
