// Metrics into a run's journals: as one of its ranks, as the host that executes it, or from outside. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "drivers/driver.h"
#include "store/journal.h"
#include "store/layout.h"

namespace trainyard {

// `check` throws when the run takes no more values; it is asked before each one, and the answer holds until the value
// is written (store/metric_gate.h). Empty = the writer goes before the run does.
std::unique_ptr<MetricWriter> WriteMetrics(const RunLayout &run, std::shared_ptr<JournalWriter> journal,
                                           std::function<void()> check);

}  // namespace trainyard
