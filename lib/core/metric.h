// Metrics of a run: points (numbers, packed together) and records (everything else, each a JSON value). Thread rule:
// values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trainyard {

// What a logged value is. Public numbers (TY_METRIC_...), stored in journals and in the database; never renumber.
enum class MetricKind : int32_t {
  kScalar = 0,           // a number: the only kind that is a point
  kText = 1,             // a string
  kList = 2,             // an array of numbers, strings and booleans
  kRow = 3,              // an object: column -> value
  kTable = 4,            // an object: column -> array, all of one length
  kImage = 5,            // {"path": a file of the run, "caption"}
  kConfusionMatrix = 6,  // {"schema_type", "schema_version", "data"}, and so the following
  kAccuracyTable = 7,
  kPredictions = 8,
  kResiduals = 9,
};

// Kinds that make one metric together: numbers, texts and lists are joined to one list, rows and tables to columns;
// each other kind stands alone.
constexpr int32_t MetricFamily(MetricKind kind) {
  switch (kind) {
    case MetricKind::kScalar:
    case MetricKind::kText:
    case MetricKind::kList:
      return 1;
    case MetricKind::kRow:
    case MetricKind::kTable:
      return 2;
    default:
      return static_cast<int32_t>(kind);
  }
}

// Steps not given by the caller are numbered 0, 1, 2, ... per name and rank by the writer.
struct MetricPoint {
  int64_t step = 0;
  int64_t time_ms = 0;
  double value = 0;
};

// One logged value of any kind.
struct MetricEntry {
  int32_t rank = 0;
  MetricKind kind = MetricKind::kScalar;
  MetricPoint point;  // records: value unused
  std::string json;   // records: the value
};

// The points of one metric.
struct MetricQuery {
  std::string name;
  std::optional<int32_t> rank;  // unset = all ranks, ordered by (rank, position)
  std::optional<int64_t> first_step, last_step;
  int64_t offset = 0;         // points to skip, for pages
  int64_t limit = 100000;     // at most this many points
  int64_t downsample_to = 0;  // 0 = every point; else at most this many, extremes kept
};

struct MetricSeries {
  std::string name;
  std::vector<int32_t> ranks;  // rank of points[i]; empty when the query named one rank
  std::vector<MetricPoint> points;
  int64_t total = 0;  // points that match, before offset, limit and downsampling
};

// The values of several metrics, of every kind.
struct MetricValuesQuery {
  std::string name;               // empty = all names
  std::string prefix;             // of the names; empty = all
  std::vector<MetricKind> kinds;  // empty = all
  std::optional<int32_t> rank;    // unset = all ranks, without the supervisor's own metrics (rank -1)
  std::optional<int64_t> first_step, last_step;
  int64_t limit = 100000;  // of each name at most this many, the last ones
  bool recursive = false;  // the run's descendants too
  bool details = false;    // with kind, rank, step and time of each value
};

struct MetricSummary {
  std::string name;
  MetricKind kind = MetricKind::kScalar;  // of the last value
  int64_t count = 0;
  MetricPoint last;                 // value: NaN for a record
  double minimum = 0, maximum = 0;  // of the points; NaN without one
};

}  // namespace trainyard
