// Questions about a run and its children, over any driver. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "drivers/driver.h"
#include "util/json.h"

namespace trainyard {

// The children of a run (`recursive`: theirs too, and so on) that match the filter, newest first, however many.
std::vector<RunRecord> ListChildren(Driver *driver, const std::string &id, bool recursive, RunFilter filter);

// {"<name>": value, ...}; with `recursive` {"<run id>": {"<name>": value, ...}, ...}, the run itself first, then its
// descendants in the order in which they were made.
Json MetricValuesToJson(Driver *driver, const std::string &id, const MetricValuesQuery &query);

// Copies all logs into a directory (made when absent), under their names; answers the copies' paths.
std::vector<std::string> DownloadLogs(Driver *driver, const std::string &id, const std::string &directory);

}  // namespace trainyard
