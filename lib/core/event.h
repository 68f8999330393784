// What happened in a run, in the order it is told. Thread rule: values.
#pragma once

#include <cstdint>
#include <string>

#include "core/metric.h"
#include "core/run_state.h"

namespace trainyard {

// Bits, so that they make a mask; public numbers (TY_EVENT_...).
enum EventKind : uint32_t {
  kEventState = 1,
  kEventLog = 2,
  kEventMetric = 4,
  kEventProgress = 8,
  kEventAll = 15,
};

struct Event {
  uint32_t kind = 0;
  int64_t time_ms = 0;
  int32_t rank = -1;                       // log, metric, progress
  RunState state = RunState::kNotStarted;  // state
  std::string text;  // log: the line without its end; progress: a JSON object; metric that is no number: its JSON
  std::string name;  // metric
  int64_t step = 0;  // metric
  double value = 0;  // metric; NaN when it is no number
  MetricKind metric_kind = MetricKind::kScalar;
  bool continued = false;  // log: the line goes on in the next event of this rank
};

}  // namespace trainyard
