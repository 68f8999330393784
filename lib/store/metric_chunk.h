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

  bool progress = false;
  std::string name;  // empty for progress
  int32_t rank = 0;
  std::vector<int64_t> ordinals;
  std::vector<MetricPoint> points;  // progress: step and value unused
  std::vector<std::string> texts;   // progress only

  std::string Pack() const;
  // Fills ordinals, points and texts; throws Error kCorrupt.
  void Unpack(std::string_view data, size_t count);
};

}  // namespace trainyard
