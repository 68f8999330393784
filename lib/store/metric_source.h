// Where the values of a run's metrics are: chunks of the database, and journal segments that are not folded yet. Used
// by the queries only (metric_query.cc, metric_values.cc). Thread rule: functions are thread-safe, a source is not.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/metric.h"
#include "store/database.h"
#include "store/journal.h"

namespace trainyard {

struct MetricSource {
  SegmentId segment;
  std::string name;  // empty = live: values of all names
  int64_t first_ordinal = 0;
  int64_t chunk = 0;  // row; 0 = live
  int64_t min_step = 0, max_step = 0, count = 0;
  std::shared_ptr<JournalReader> reader;
};

struct MetricSourceFilter {
  std::string name;         // empty = all names
  bool points_only = true;  // else records too
  std::optional<int32_t> rank;
  std::optional<int64_t> first_step, last_step;

  bool Matches(const MetricPoint &point) const {
    return (!first_step || point.step >= *first_step) && (!last_step || point.step <= *last_step);
  }
};

// Ordered by segment and first ordinal. What is folded while this looks counts once. Error kNotFound without such a
// run.
std::vector<MetricSource> FindMetricSources(Database *database, std::string_view run_id,
                                            const MetricSourceFilter &filter);

using LiveJournals = std::map<SegmentId, std::shared_ptr<JournalReader>>;
// To be opened before the database is looked at; DropFolded then takes out what was folded in between.
LiveJournals OpenLiveJournals(const std::string &directory);
void DropFolded(Connection &db, int64_t run_seq, LiveJournals *live);

int64_t RunSeqOf(Connection &db, std::string_view run_id);  // Error kNotFound

}  // namespace trainyard
