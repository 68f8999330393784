// The packed form of a chunk of points (described in metric_store.h). Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/metric.h"

namespace trainyard {

struct MetricChunk {
  static constexpr size_t kPoints = 4096;

  // Numbers of the column `kind`; never renumber.
  enum class Kind { kPoints = 0, kProgress = 1, kRecords = 2 } kind = Kind::kPoints;
  MetricKind metric = MetricKind::kScalar;  // of all its records
  std::string name;                         // empty for progress
  int32_t rank = 0;
  std::vector<int64_t> ordinals;
  std::vector<MetricPoint> points;  // progress: step and value unused; records: value unused
  std::vector<std::string> texts;   // progress and records

  std::string Pack() const;
  // Fills ordinals, points and texts; throws Error kCorrupt.
  void Unpack(std::string_view data, size_t count);
};

}  // namespace trainyard
