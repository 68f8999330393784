#include "core/metric_value.h"

#include <algorithm>
#include <array>
#include <map>

#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr std::array<std::string_view, 10> kNames = {
    "scalar", "text", "list", "row", "table", "image", "confusion_matrix", "accuracy_table", "predictions", "residuals",
};

std::string Quoted(std::string_view name) {
  return "metric '" + SanitizeUtf8(TruncateUtf8(name, 80)) + "'";
}

[[noreturn]] void Refuse(std::string_view name, const std::string &what) {
  throw Error::InvalidArgument(Quoted(name) + ": " + what, {{"metric", SanitizeUtf8(name)}});
}

void CheckCount(std::string_view name, const char *what, size_t count, size_t most) {
  if (count <= most) return;
  Refuse(name, "at most " + std::to_string(most) + " " + what + ", got " + std::to_string(count));
}

// A number, string or boolean; null is a value that is missing.
void CheckCell(std::string_view name, const Json &cell) {
  switch (cell.type()) {
    case JsonType::kArray:
    case JsonType::kObject:
      Refuse(name, cell.path() + " must be a number, a string, true, false or null");
    case JsonType::kString:
      CheckCount(name, "bytes in a string", cell.AsString().size(), kMaxCellBytes);
      break;
    default:
      break;
  }
}

void CheckColumns(std::string_view name, const Json &value) {
  if (value.size() == 0) Refuse(name, "a row or table needs at least one column");
  CheckCount(name, "columns", value.size(), kMaxColumns);
  for (const std::string &column : value.Keys()) {
    if (column.empty()) Refuse(name, "the name of a column is empty");
    CheckCount(name, "bytes in the name of a column", column.size(), kMaxColumnName);
  }
}

void CheckTable(std::string_view name, const Json &value) {
  CheckColumns(name, value);
  std::optional<size_t> rows;
  for (const auto &[column, cells] : value.Members()) {
    if (!cells.is_array()) Refuse(name, "column '" + column + "' must be an array, as long as the others");
    CheckCount(name, "rows in one call", cells.size(), kMaxTableRows);
    if (rows && *rows != cells.size()) {
      Refuse(name, "column '" + column + "' has " + std::to_string(cells.size()) + " values, the first one has " +
                       std::to_string(*rows));
    }
    rows = cells.size();
    for (const Json &cell : cells.Items()) CheckCell(name, cell);
  }
}

// An array of numbers under `key`.
size_t CheckNumbers(std::string_view name, const Json &data, const char *key) {
  const auto numbers = data.Find(key);
  if (!numbers || !numbers->is_array()) Refuse(name, data.path() + " needs '" + key + "', an array of numbers");
  numbers->AsDoubleList();
  return numbers->size();
}

size_t CheckLabels(std::string_view name, const Json &data) {
  const auto labels = data.Find("class_labels");
  if (!labels || !labels->is_array() || labels->size() == 0) {
    Refuse(name, data.path() + " needs 'class_labels', an array of at least one label");
  }
  for (const Json &label : labels->Items()) CheckCell(name, label);
  return labels->size();
}

void CheckConfusionMatrix(std::string_view name, const Json &data) {
  const size_t classes = CheckLabels(name, data);
  const auto matrix = data.Find("matrix");
  if (!matrix || !matrix->is_array() || matrix->size() != classes) {
    Refuse(name, data.path() + " needs 'matrix', " + std::to_string(classes) + " rows, one for each class label");
  }
  for (const Json &row : matrix->Items()) {
    if (!row.is_array() || row.size() != classes) {
      Refuse(name, row.path() + " must have " + std::to_string(classes) + " numbers, one for each class label");
    }
    row.AsDoubleList();
  }
}

// Tables of one class each: an array for each threshold, of [true positives, false positives, true negatives, false
// negatives].
void CheckTables(std::string_view name, const Json &data, const char *tables_key, const char *thresholds_key,
                 size_t classes) {
  const auto tables = data.Find(tables_key);
  if (!tables || !tables->is_array() || tables->size() != classes) {
    Refuse(name, data.path() + " needs '" + tables_key + "', " + std::to_string(classes) +
                     " tables, one for each class label");
  }
  const size_t thresholds = CheckNumbers(name, data, thresholds_key);
  for (const Json &table : tables->Items()) {
    if (!table.is_array() || table.size() != thresholds) {
      Refuse(name, table.path() + " must have " + std::to_string(thresholds) + " rows, one for each of '" +
                       thresholds_key + "'");
    }
    for (const Json &row : table.Items()) {
      if (!row.is_array() || row.size() != 4) Refuse(name, row.path() + " must be four numbers: TP, FP, TN, FN");
      row.AsDoubleList();
    }
  }
}

void CheckAccuracyTable(std::string_view name, const Json &data) {
  const size_t classes = CheckLabels(name, data);
  CheckTables(name, data, "probability_tables", "probability_thresholds", classes);
  CheckTables(name, data, "percentile_tables", "percentile_thresholds", classes);
}

// `edges` of n + 1 numbers and n in each of the others.
void CheckBins(std::string_view name, const Json &data, std::initializer_list<const char *> others) {
  const size_t edges = CheckNumbers(name, data, "bin_edges");
  for (const char *key : others) {
    const size_t bins = CheckNumbers(name, data, key);
    if (bins + 1 == edges) continue;
    Refuse(name, data.path() + ": 'bin_edges' must have one number more than '" + key + "', got " +
                     std::to_string(edges) + " and " + std::to_string(bins));
  }
}

void CheckSchema(MetricKind kind, std::string_view name, const Json &value) {
  const std::string wanted(MetricKindName(kind));
  value.CheckKeys({"schema_type", "schema_version", "data"});
  const std::string type = value.GetString("schema_type", "");
  if (type != wanted) Refuse(name, "'schema_type' must be '" + wanted + "', got '" + type + "'");
  if (value.GetString("schema_version", "").empty()) Refuse(name, "'schema_version' is missing: give \"v1\"");
  const auto data = value.Find("data");
  if (!data || !data->is_object()) Refuse(name, "'data' must be an object");
  switch (kind) {
    case MetricKind::kConfusionMatrix:
      return CheckConfusionMatrix(name, *data);
    case MetricKind::kAccuracyTable:
      return CheckAccuracyTable(name, *data);
    case MetricKind::kPredictions:
      return CheckBins(name, *data, {"bin_averages", "bin_errors", "bin_counts"});
    default:
      return CheckBins(name, *data, {"bin_counts"});
  }
}

// What is in journals was checked when it was written; what a damaged one holds is shown as it is.
Json ParseStored(const std::string &text) {
  try {
    return Json::Parse(text, "value");
  } catch (const Error &) {
    return Json(text);
  }
}

Json EntryValue(const MetricEntry &entry) {
  if (entry.kind == MetricKind::kScalar) return Json(entry.point.value);
  Json value = ParseStored(entry.json);
  if (entry.kind == MetricKind::kImage && value.is_object()) return Json(value.GetString("path", ""));
  return value;
}

// Each row is one row, each table many; all columns are as long as all rows together.
Json MergeColumns(const std::vector<MetricEntry> &entries) {
  std::vector<std::string> order;
  std::map<std::string, std::vector<Json>> columns;
  size_t rows = 0;
  for (const MetricEntry &entry : entries) {
    const Json value = ParseStored(entry.json);
    if (!value.is_object()) continue;
    size_t more = 1;
    for (const auto &[name, cells] : value.Members()) {
      auto [column, fresh] = columns.try_emplace(name);
      if (fresh) order.push_back(name);
      column->second.resize(rows);
      if (entry.kind == MetricKind::kTable && cells.is_array()) {
        const std::vector<Json> items = cells.Items();
        more = items.size();
        column->second.insert(column->second.end(), items.begin(), items.end());
      } else {
        column->second.push_back(cells);
      }
    }
    rows += more;
  }
  Json merged = Json::Object();
  for (const std::string &name : order) {
    columns[name].resize(rows);
    Json cells = Json::Array();
    for (const Json &cell : columns[name]) cells.Append(cell);
    merged.Set(name, cells);
  }
  return merged;
}

bool OneFamily(const std::vector<MetricEntry> &entries) {
  return std::all_of(entries.begin(), entries.end(), [&](const MetricEntry &entry) {
    return MetricFamily(entry.kind) == MetricFamily(entries.front().kind);
  });
}

std::optional<int64_t> OptionalInt64(const Json &json, const char *key) {
  const auto value = json.Find(key);
  return value ? std::optional<int64_t>(value->AsInt64()) : std::nullopt;
}

std::optional<int32_t> OptionalRank(const Json &json) {
  const auto rank = json.Find("rank");
  return rank ? std::optional<int32_t>(static_cast<int32_t>(rank->AsInt64(-1, 1 << 30))) : std::nullopt;
}

}  // namespace

std::string_view MetricKindName(MetricKind kind) {
  const auto index = static_cast<size_t>(kind);
  return index < kNames.size() ? kNames[index] : std::string_view("unknown");
}

std::optional<MetricKind> MetricKindFromName(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<MetricKind>(i);
  }
  return std::nullopt;
}

std::optional<MetricKind> MetricKindFromNumber(int64_t number) {
  if (number < 0 || number >= static_cast<int64_t>(kNames.size())) return std::nullopt;
  return static_cast<MetricKind>(number);
}

std::string CheckMetricValue(MetricKind kind, std::string_view name, std::string_view text) {
  CheckCount(name, "bytes of JSON", text.size(), kMaxValueBytes);
  const Json value = Json::Parse(text, "value");
  if (kind == MetricKind::kList) {
    if (!value.is_array()) Refuse(name, "a list must be a JSON array");
    CheckCount(name, "entries in a list", value.size(), kMaxListEntries);
    for (const Json &cell : value.Items()) CheckCell(name, cell);
    return value.Dump();
  }
  if (!value.is_object()) Refuse(name, "a " + std::string(MetricKindName(kind)) + " must be a JSON object");
  if (kind == MetricKind::kRow) {
    CheckColumns(name, value);
    for (const auto &[column, cell] : value.Members()) CheckCell(name, cell);
  } else if (kind == MetricKind::kTable) {
    CheckTable(name, value);
  } else {
    CheckSchema(kind, name, value);
  }
  return value.Dump();
}

std::string CheckMetricText(std::string_view name, std::string_view text) {
  CheckCount(name, "bytes of text", text.size(), kMaxTextBytes);
  if (!IsValidUtf8(text)) Refuse(name, "the text is not valid UTF-8");
  return Json(text).Dump();
}

std::string MakeMetricImage(std::string_view name, std::string_view path, std::string_view caption) {
  CheckCount(name, "bytes in a caption", caption.size(), kMaxCaptionBytes);
  if (!IsValidUtf8(caption)) Refuse(name, "the caption is not valid UTF-8");
  Json json = Json::Object();
  json.Set("path", path).Set("caption", caption.empty() ? Json() : Json(caption));
  return json.Dump();
}

Json MetricValueToJson(const std::vector<MetricEntry> &entries) {
  if (entries.empty()) return Json();
  const bool one_family = OneFamily(entries);
  if (one_family && MetricFamily(entries.front().kind) == MetricFamily(MetricKind::kRow) &&
      (entries.size() > 1 || entries.front().kind == MetricKind::kTable)) {
    return MergeColumns(entries);
  }
  if (entries.size() == 1) return EntryValue(entries.front());
  Json list = Json::Array();
  for (const MetricEntry &entry : entries) {
    const Json value = EntryValue(entry);
    if (one_family && entry.kind == MetricKind::kList && value.is_array()) {
      for (const Json &item : value.Items()) list.Append(item);
    } else {
      list.Append(value);
    }
  }
  return list;
}

Json MetricDetailsToJson(const std::vector<MetricEntry> &entries) {
  Json values = Json::Array();
  for (const MetricEntry &entry : entries) {
    Json item = Json::Object();
    item.Set("rank", entry.rank)
        .Set("step", entry.point.step)
        .Set("time_ms", entry.point.time_ms)
        .Set("kind", MetricKindName(entry.kind))
        .Set("value", entry.kind == MetricKind::kScalar ? Json(entry.point.value) : ParseStored(entry.json));
    values.Append(item);
  }
  Json json = Json::Object();
  json.Set("kind", entries.empty() ? Json() : Json(MetricKindName(entries.back().kind))).Set("values", values);
  return json;
}

Json MetricSummaryToJson(const MetricSummary &summary) {
  const bool scalar = summary.kind == MetricKind::kScalar;
  Json json = Json::Object();
  json.Set("name", summary.name)
      .Set("kind", MetricKindName(summary.kind))
      .Set("count", summary.count)
      .Set("last_step", summary.last.step)
      .Set("last_time_ms", summary.last.time_ms)
      .Set("last_value", scalar ? Json(summary.last.value) : Json())
      .Set("minimum", scalar ? Json(summary.minimum) : Json())
      .Set("maximum", scalar ? Json(summary.maximum) : Json());
  return json;
}

MetricQuery MetricQueryFromJson(std::string_view text) {
  MetricQuery query;
  if (text.empty()) return query;
  const Json json = Json::Parse(text, "query");
  json.CheckKeys({"rank", "first_step", "last_step", "offset", "limit", "downsample_to"});
  query.rank = OptionalRank(json);
  query.first_step = OptionalInt64(json, "first_step");
  query.last_step = OptionalInt64(json, "last_step");
  if (const auto offset = json.Find("offset")) query.offset = offset->AsInt64(0);
  if (const auto limit = json.Find("limit")) query.limit = limit->AsInt64(1);
  if (const auto count = json.Find("downsample_to")) query.downsample_to = count->AsInt64(0);
  return query;
}

MetricValuesQuery MetricValuesQueryFromJson(std::string_view text) {
  MetricValuesQuery query;
  if (text.empty()) return query;
  const Json json = Json::Parse(text, "query");
  json.CheckKeys({"name", "prefix", "kinds", "rank", "first_step", "last_step", "limit", "recursive", "details"});
  query.name = json.GetString("name", "");
  query.prefix = json.GetString("prefix", "");
  for (const std::string &kind : json.GetStringList("kinds")) {
    const auto known = MetricKindFromName(kind);
    if (!known) {
      throw Error::InvalidArgument("query.kinds: '" + kind + "' is not a kind of metric" +
                                   DidYouMean(kind, {kNames.begin(), kNames.end()}));
    }
    query.kinds.push_back(*known);
  }
  query.rank = OptionalRank(json);
  query.first_step = OptionalInt64(json, "first_step");
  query.last_step = OptionalInt64(json, "last_step");
  if (const auto limit = json.Find("limit")) query.limit = limit->AsInt64(1, 10000000);
  query.recursive = json.GetBool("recursive", false);
  query.details = json.GetBool("details", false);
  return query;
}

}  // namespace trainyard
