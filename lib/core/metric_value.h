// The rules of logged values: what each kind of metric takes, the limits, and what a run's values look like as JSON.
// Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/metric.h"
#include "util/json.h"

namespace trainyard {

// Limits of one logged value; include/trainyard/metric.h tells them. At least those of Azure ML.
inline constexpr size_t kMaxListEntries = 250;
inline constexpr size_t kMaxColumns = 15;
inline constexpr size_t kMaxColumnName = 255;
inline constexpr size_t kMaxTableRows = 250;
inline constexpr size_t kMaxTextBytes = 65536;
inline constexpr size_t kMaxCellBytes = 4096;  // a string in a list, row or table
inline constexpr size_t kMaxCaptionBytes = 1024;
inline constexpr size_t kMaxValueBytes = size_t{1} << 20;  // the JSON of any other value

// "scalar", "text", "confusion_matrix", ... and back; nullopt for an unknown name or number.
std::string_view MetricKindName(MetricKind kind);
std::optional<MetricKind> MetricKindFromName(std::string_view name);
std::optional<MetricKind> MetricKindFromNumber(int64_t number);

// The value as it is stored, in one line; throws Error::InvalidArgument that names the metric, what is wrong, and the
// limit. For kinds list, row, table, confusion matrix, accuracy table, predictions, residuals.
std::string CheckMetricValue(MetricKind kind, std::string_view name, std::string_view json);
// The same for a text and for an image that is kept as the file `path` of the run.
std::string CheckMetricText(std::string_view name, std::string_view text);
std::string MakeMetricImage(std::string_view name, std::string_view path, std::string_view caption);

// The value of a metric as the Azure ML SDK gives it: what was logged when that happened once, else a list; rows and
// tables merged to columns (a column that a row lacks is null there); images as the names of their files.
Json MetricValueToJson(const std::vector<MetricEntry> &entries);
// {"kind", "values": [{"rank", "step", "time_ms", "kind", "value"}]}
Json MetricDetailsToJson(const std::vector<MetricEntry> &entries);
// {"name", "kind", "count", "last_step", "last_time_ms", "last_value", "minimum", "maximum"}
Json MetricSummaryToJson(const MetricSummary &summary);

// {"rank","first_step","last_step","offset","limit","downsample_to"}; empty text = everything.
MetricQuery MetricQueryFromJson(std::string_view text);
// {"name","prefix","kinds","rank","first_step","last_step","limit","recursive","details"}; empty text = everything.
MetricValuesQuery MetricValuesQueryFromJson(std::string_view text);

}  // namespace trainyard
