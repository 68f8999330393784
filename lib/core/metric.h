// Metrics of a run. Thread rule: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trainyard {

// Steps not given by the caller are numbered 0, 1, 2, ... per name and rank by the writer.
struct MetricPoint {
  int64_t step = 0;
  int64_t time_ms = 0;
  double value = 0;
};

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

struct MetricSummary {
  std::string name;
  int64_t count = 0;
  MetricPoint last;
  double minimum = 0, maximum = 0;
};

}  // namespace trainyard
