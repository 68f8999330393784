#include "trainyard/metric.h"

#include "capi/handles.h"
#include "core/metric_value.h"
#include "drivers/metric_export.h"
#include "drivers/run_tree.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
using trainyard::capi::require_handle;
using trainyard::capi::require_out;

static_assert(static_cast<int32_t>(MetricKind::kScalar) == TY_METRIC_SCALAR &&
              static_cast<int32_t>(MetricKind::kText) == TY_METRIC_TEXT &&
              static_cast<int32_t>(MetricKind::kList) == TY_METRIC_LIST &&
              static_cast<int32_t>(MetricKind::kRow) == TY_METRIC_ROW &&
              static_cast<int32_t>(MetricKind::kTable) == TY_METRIC_TABLE &&
              static_cast<int32_t>(MetricKind::kImage) == TY_METRIC_IMAGE &&
              static_cast<int32_t>(MetricKind::kConfusionMatrix) == TY_METRIC_CONFUSION_MATRIX &&
              static_cast<int32_t>(MetricKind::kAccuracyTable) == TY_METRIC_ACCURACY_TABLE &&
              static_cast<int32_t>(MetricKind::kPredictions) == TY_METRIC_PREDICTIONS &&
              static_cast<int32_t>(MetricKind::kResiduals) == TY_METRIC_RESIDUALS);
static_assert(kMaxListEntries == TY_MAX_LIST_ENTRIES && kMaxColumns == TY_MAX_COLUMNS &&
              kMaxColumnName == TY_MAX_COLUMN_NAME_BYTES && kMaxTableRows == TY_MAX_TABLE_ROWS &&
              kMaxTextBytes == TY_MAX_METRIC_TEXT_BYTES && kMaxCellBytes == TY_MAX_CELL_BYTES &&
              kMaxCaptionBytes == TY_MAX_CAPTION_BYTES && kMaxValueBytes == TY_MAX_METRIC_VALUE_BYTES);

namespace {

MetricWriter &MetricsOf(const ty_run *run) {
  const std::lock_guard lock(run->metrics_mutex);
  if (!run->metrics) run->metrics = run->driver->OpenMetrics(run->id);
  return *run->metrics;
}

void CheckMetricName(const char *name) {
  require(name, "name");
  if (*name == '\0') throw Error::InvalidArgument("the metric's name is empty");
}

std::optional<int64_t> StepOf(int64_t step) {
  if (step < -1)
    throw Error::InvalidArgument("step must be 0 or more, or -1 for the next, got " + std::to_string(step));
  return step < 0 ? std::nullopt : std::optional<int64_t>(step);
}

ty_status LogValue(const ty_run *run, MetricKind kind, const char *name, const char *json, int64_t step,
                   ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    CheckMetricName(name);
    require(json, "json");
    MetricsOf(run).Record(kind, name, CheckMetricValue(kind, name, json), StepOf(step));
  });
}

}  // namespace

extern "C" {

const char *ty_metric_kind_name(ty_metric_kind kind) noexcept {
  // The names are literals: they end in NUL.
  return MetricKindName(static_cast<MetricKind>(kind)).data();
}

ty_status ty_run_log_metric(const ty_run *run, const char *name, double value, int64_t step, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    CheckMetricName(name);
    MetricsOf(run).Append(name, value, StepOf(step));
  });
}

ty_status ty_run_log_metrics(const ty_run *run, const char *name, const double *values, const int64_t *steps,
                             size_t count, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    CheckMetricName(name);
    require(values, "values");
    const std::span<const int64_t> given =
        steps == nullptr ? std::span<const int64_t>() : std::span<const int64_t>(steps, count);
    for (const int64_t step : given) {
      if (step < 0) throw Error::InvalidArgument("steps must be 0 or more, got " + std::to_string(step));
    }
    MetricsOf(run).AppendBatch(name, {values, count}, given);
  });
}

ty_status ty_run_log_text(const ty_run *run, const char *name, const char *text, int64_t step,
                          ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    CheckMetricName(name);
    require(text, "text");
    MetricsOf(run).Record(MetricKind::kText, name, CheckMetricText(name, text), StepOf(step));
  });
}

ty_status ty_run_log_list(const ty_run *run, const char *name, const char *json, int64_t step,
                          ty_error **err) noexcept {
  return LogValue(run, MetricKind::kList, name, json, step, err);
}

ty_status ty_run_log_row(const ty_run *run, const char *name, const char *json, int64_t step, ty_error **err) noexcept {
  return LogValue(run, MetricKind::kRow, name, json, step, err);
}

ty_status ty_run_log_table(const ty_run *run, const char *name, const char *json, int64_t step,
                           ty_error **err) noexcept {
  return LogValue(run, MetricKind::kTable, name, json, step, err);
}

ty_status ty_run_log_image(const ty_run *run, const char *name, const char *path, const char *caption, int64_t step,
                           ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    CheckMetricName(name);
    require(path, "path");
    MetricsOf(run).Image(name, path, capi::OptionalString(caption), StepOf(step));
  });
}

ty_status ty_run_log_confusion_matrix(const ty_run *run, const char *name, const char *json, int64_t step,
                                      ty_error **err) noexcept {
  return LogValue(run, MetricKind::kConfusionMatrix, name, json, step, err);
}

ty_status ty_run_log_accuracy_table(const ty_run *run, const char *name, const char *json, int64_t step,
                                    ty_error **err) noexcept {
  return LogValue(run, MetricKind::kAccuracyTable, name, json, step, err);
}

ty_status ty_run_log_predictions(const ty_run *run, const char *name, const char *json, int64_t step,
                                 ty_error **err) noexcept {
  return LogValue(run, MetricKind::kPredictions, name, json, step, err);
}

ty_status ty_run_log_residuals(const ty_run *run, const char *name, const char *json, int64_t step,
                               ty_error **err) noexcept {
  return LogValue(run, MetricKind::kResiduals, name, json, step, err);
}

ty_status ty_run_log_progress(const ty_run *run, const char *json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(json, "json");
    if (!Json::Parse(json, "progress").is_object()) throw Error::InvalidArgument("progress must be a JSON object");
    MetricsOf(run).Progress(json);
  });
}

ty_status ty_run_flush(const ty_run *run, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    const std::lock_guard lock(run->metrics_mutex);
    if (run->metrics) run->metrics->Flush();
  });
}

ty_status ty_run_list_metrics(const ty_run *run, ty_string_list **out_names, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_names, "out_names");
    require_handle(run, "run");
    std::vector<std::string> names;
    for (const MetricSummary &metric : run->driver->ListMetrics(run->id)) names.push_back(metric.name);
    *out_names = capi::MakeStringList(std::move(names));
  });
}

ty_status ty_run_list_metrics_json(const ty_run *run, char **out_json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_json, "out_json");
    require_handle(run, "run");
    Json list = Json::Array();
    for (const MetricSummary &metric : run->driver->ListMetrics(run->id)) list.Append(MetricSummaryToJson(metric));
    *out_json = capi::CopyString(list.Dump());
  });
}

ty_status ty_run_get_metrics_json(const ty_run *run, const char *query_json, char **out_json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_json, "out_json");
    require_handle(run, "run");
    const MetricValuesQuery query = MetricValuesQueryFromJson(capi::OptionalString(query_json));
    *out_json = capi::CopyString(MetricValuesToJson(run->driver.get(), run->id, query).Dump());
  });
}

ty_status ty_run_get_metric(const ty_run *run, const char *name, const char *query_json, ty_metric_series **out_series,
                            ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_series, "out_series");
    require_handle(run, "run");
    CheckMetricName(name);
    MetricQuery query = MetricQueryFromJson(capi::OptionalString(query_json));
    query.name = name;
    MetricSeries found = run->driver->QueryMetric(run->id, query);
    auto series = std::make_unique<ty_metric_series>();
    series->total = found.total;
    series->ranks = std::move(found.ranks);
    if (series->ranks.empty()) series->ranks.assign(found.points.size(), query.rank.value_or(0));
    series->steps.reserve(found.points.size());
    series->times.reserve(found.points.size());
    series->values.reserve(found.points.size());
    for (const MetricPoint &point : found.points) {
      series->steps.push_back(point.step);
      series->times.push_back(point.time_ms);
      series->values.push_back(point.value);
    }
    *out_series = series.release();
  });
}

ty_status ty_run_get_metric_value(const ty_run *run, const char *name, double *out_value, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_value, "out_value");
    require_handle(run, "run");
    CheckMetricName(name);
    MetricQuery query;
    query.name = name;
    query.limit = 1;
    // Points come by rank, then in the order they were logged: the last one is at the end.
    const int64_t total = run->driver->QueryMetric(run->id, query).total;
    query.offset = total > 0 ? total - 1 : 0;
    const MetricSeries last = run->driver->QueryMetric(run->id, query);
    if (last.points.empty())
      throw Error::NotFound("metric '" + query.name + "' has no points yet", {{"run_id", run->id}});
    *out_value = last.points.back().value;
  });
}

ty_status ty_run_export_tensorboard(const ty_run *run, const char *directory, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(directory, "directory");
    ExportTensorBoard(run->driver.get(), run->id, directory);
  });
}

ty_status ty_run_export_csv(const ty_run *run, const char *path, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(run, "run");
    require(path, "path");
    ExportCsv(run->driver.get(), run->id, path);
  });
}

size_t ty_metric_series_size(const ty_metric_series *series) noexcept {
  return series == nullptr ? 0 : series->values.size();
}

int64_t ty_metric_series_total(const ty_metric_series *series) noexcept {
  return series == nullptr ? 0 : series->total;
}

const int64_t *ty_metric_series_steps(const ty_metric_series *series) noexcept {
  return series == nullptr || series->steps.empty() ? nullptr : series->steps.data();
}

const int64_t *ty_metric_series_times(const ty_metric_series *series) noexcept {
  return series == nullptr || series->times.empty() ? nullptr : series->times.data();
}

const double *ty_metric_series_values(const ty_metric_series *series) noexcept {
  return series == nullptr || series->values.empty() ? nullptr : series->values.data();
}

const int32_t *ty_metric_series_ranks(const ty_metric_series *series) noexcept {
  return series == nullptr || series->ranks.empty() ? nullptr : series->ranks.data();
}

void ty_metric_series_free(ty_metric_series *series) noexcept {
  std::unique_ptr<ty_metric_series>{series};
}

}  // extern "C"
