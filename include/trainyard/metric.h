/*
 * trainyard/metric.h: what a run measures and records: numbers, texts, lists, rows, tables, images, and the standard
 * results of classification and regression. Repeated names append.
 *
 * Everything goes into a journal of the calling process and survives a kill of that process from the moment the call
 * returns; ty_run_flush makes it survive a power cut. Inside a rank (ty_run_current) nothing here that logs opens the
 * workspace's database.
 *
 * A name holds one kind of value: numbers, texts and lists go together, rows and tables go together, every other kind
 * stands alone; the writing process answers TY_ERR_INVALID_ARGUMENT to another kind.
 *
 * Threads: all calls on one run may run concurrently.
 */
#ifndef TRAINYARD_METRIC_H_
#define TRAINYARD_METRIC_H_

#include <trainyard/common.h>
#include <trainyard/error.h>
#include <trainyard/run.h>

TY_EXTERN_C_BEGIN

/** What a logged value is: one of TY_METRIC_... */
typedef int32_t ty_metric_kind;

enum {
  /** "scalar": a number. */
  TY_METRIC_SCALAR = 0,
  /** "text": a string. */
  TY_METRIC_TEXT = 1,
  /** "list": an array of numbers, strings and booleans. */
  TY_METRIC_LIST = 2,
  /** "row": an object, column -> value. */
  TY_METRIC_ROW = 3,
  /** "table": an object, column -> array. */
  TY_METRIC_TABLE = 4,
  /** "image": a file that is kept with the run. */
  TY_METRIC_IMAGE = 5,
  /** "confusion_matrix" */
  TY_METRIC_CONFUSION_MATRIX = 6,
  /** "accuracy_table" */
  TY_METRIC_ACCURACY_TABLE = 7,
  /** "predictions" */
  TY_METRIC_PREDICTIONS = 8,
  /** "residuals" */
  TY_METRIC_RESIDUALS = 9
};

/** Limits of one call; beyond one of them it answers TY_ERR_INVALID_ARGUMENT and names the limit. */
enum {
  TY_MAX_METRIC_NAME_BYTES = 255,
  TY_MAX_LIST_ENTRIES = 250,
  TY_MAX_COLUMNS = 15,
  TY_MAX_COLUMN_NAME_BYTES = 255,
  /** Of a table in one call; there is no limit to the calls. */
  TY_MAX_TABLE_ROWS = 250,
  TY_MAX_METRIC_TEXT_BYTES = 65536,
  /** A string in a list, row or table. */
  TY_MAX_CELL_BYTES = 4096,
  TY_MAX_CAPTION_BYTES = 1024,
  /** The JSON of any value. */
  TY_MAX_METRIC_VALUE_BYTES = 1048576
};

/**
 * @param kind  TY_METRIC_...
 * @return "scalar", "confusion_matrix", ...; "unknown" for an unknown number; static
 * @since 0.1
 */
TY_API const char *ty_metric_kind_name(ty_metric_kind kind) TY_NOEXCEPT;

/* ---- logging ---- */

/**
 * Append one point to a metric of this rank. Survives a kill of the process from the moment the call returns;
 * ty_run_flush makes it survive a power cut.
 *
 * @param run    the run
 * @param name   1 to 255 bytes of UTF-8
 * @param value  any double
 * @param step   >= 0, or -1: the next number of this name
 * @param err    [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE (the run has ended), TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_log_metric(const ty_run *run, const char *name, double value, int64_t step,
                                   ty_error **err) TY_NOEXCEPT;

/**
 * Append many points to one metric of this rank, at the current time.
 *
 * @param run     the run
 * @param name    1 to 255 bytes of UTF-8
 * @param values  `count` values
 * @param steps   `count` steps, each >= 0, or NULL: the next numbers of this name
 * @param count   how many
 * @param err     [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE, TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_log_metrics(const ty_run *run, const char *name, const double *values, const int64_t *steps,
                                    size_t count, ty_error **err) TY_NOEXCEPT;

/**
 * Append a text to a metric of this rank.
 *
 * @param run    the run
 * @param name   1 to 255 bytes of UTF-8
 * @param text   at most 65536 bytes of UTF-8
 * @param step   >= 0, or -1: the next number of this name
 * @param err    [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE (the run has ended), TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_log_text(const ty_run *run, const char *name, const char *text, int64_t step,
                                 ty_error **err) TY_NOEXCEPT;

/**
 * Append a list to a metric of this rank: its entries come after those logged before.
 *
 * @param run    the run
 * @param name   1 to 255 bytes of UTF-8
 * @param json   an array of at most 250 numbers, strings (also "NaN", "Infinity", "-Infinity"), booleans and nulls
 * @param step   >= 0, or -1: the next number of this name
 * @param err    [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE (the run has ended), TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_log_list(const ty_run *run, const char *name, const char *json, int64_t step,
                                 ty_error **err) TY_NOEXCEPT;

/**
 * Append a row to a metric of this rank: several calls make a table.
 *
 * @param run    the run
 * @param name   1 to 255 bytes of UTF-8
 * @param json   an object of 1 to 15 columns: name (1 to 255 bytes) -> number, string, boolean or null
 * @param step   >= 0, or -1: the next number of this name
 * @param err    [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE (the run has ended), TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_log_row(const ty_run *run, const char *name, const char *json, int64_t step,
                                ty_error **err) TY_NOEXCEPT;

/**
 * Append a table to a metric of this rank: its rows come after those logged before.
 *
 * @param run    the run
 * @param name   1 to 255 bytes of UTF-8
 * @param json   an object of 1 to 15 columns: name (1 to 255 bytes) -> array of numbers, strings, booleans and nulls;
 * all of one length, at most 250
 * @param step   >= 0, or -1: the next number of this name
 * @param err    [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE (the run has ended), TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_log_table(const ty_run *run, const char *name, const char *json, int64_t step,
                                  ty_error **err) TY_NOEXCEPT;

/**
 * Append an image to a metric of this rank. The file is copied into the run (ty_run_list_files names it "images/...").
 *
 * @param run      the run
 * @param name     1 to 255 bytes of UTF-8
 * @param path     the file; any format, kept as it is
 * @param caption  at most 1024 bytes of UTF-8; NULL for none
 * @param step     >= 0, or -1: the next number of this name
 * @param err      [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND (no such file), TY_ERR_INVALID_STATE (the run has ended), TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_log_image(const ty_run *run, const char *name, const char *path, const char *caption,
                                  int64_t step, ty_error **err) TY_NOEXCEPT;

/**
 * Append a confusion matrix to a metric of this rank.
 *
 * @param run    the run
 * @param name   1 to 255 bytes of UTF-8
 * @param json   {"schema_type": "confusion_matrix", "schema_version": "v1", "data": {"class_labels": n labels,
 * "matrix": n arrays of n numbers: rows are true classes, columns predicted ones}}
 * @param step   >= 0, or -1: the next number of this name
 * @param err    [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE (the run has ended), TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_log_confusion_matrix(const ty_run *run, const char *name, const char *json, int64_t step,
                                             ty_error **err) TY_NOEXCEPT;

/**
 * Append accuracy tables (counts at several thresholds) to a metric of this rank.
 *
 * @param run    the run
 * @param name   1 to 255 bytes of UTF-8
 * @param json   {"schema_type": "accuracy_table", "schema_version": "v1", "data": {"class_labels": n labels,
 * "probability_tables": n tables, "probability_thresholds": numbers, "percentile_tables": n tables,
 * "percentile_thresholds": numbers}; a table has for each threshold an array of four numbers: true positives, false
 * positives, true negatives, false negatives}
 * @param step   >= 0, or -1: the next number of this name
 * @param err    [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE (the run has ended), TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_log_accuracy_table(const ty_run *run, const char *name, const char *json, int64_t step,
                                           ty_error **err) TY_NOEXCEPT;

/**
 * Append the predictions of a regression in bins to a metric of this rank.
 *
 * @param run    the run
 * @param name   1 to 255 bytes of UTF-8
 * @param json   {"schema_type": "predictions", "schema_version": "v1", "data": {"bin_edges": n + 1 numbers,
 * "bin_averages": n, "bin_errors": n, "bin_counts": n}}
 * @param step   >= 0, or -1: the next number of this name
 * @param err    [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE (the run has ended), TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_log_predictions(const ty_run *run, const char *name, const char *json, int64_t step,
                                        ty_error **err) TY_NOEXCEPT;

/**
 * Append the residuals of a regression in bins to a metric of this rank.
 *
 * @param run    the run
 * @param name   1 to 255 bytes of UTF-8
 * @param json   {"schema_type": "residuals", "schema_version": "v1", "data": {"bin_edges": n + 1 numbers, "bin_counts":
 * n}}
 * @param step   >= 0, or -1: the next number of this name
 * @param err    [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE (the run has ended), TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_log_residuals(const ty_run *run, const char *name, const char *json, int64_t step,
                                      ty_error **err) TY_NOEXCEPT;

/**
 * Report progress, for event streams.
 *
 * @param run   the run
 * @param json  an object; the training engine gives
 * {"epoch","epochs","step","steps","phase","loss","accuracy","images_per_second","time_left_ms"}
 * @param err   [out, optional]
 * @return TY_OK, TY_ERR_INVALID_STATE, TY_ERR_NO_SPACE, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_log_progress(const ty_run *run, const char *json, ty_error **err) TY_NOEXCEPT;

/**
 * Make everything logged through this handle durable against a power cut.
 * @param run  the run
 * @param err  [out, optional]
 * @return TY_OK, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_flush(const ty_run *run, ty_error **err) TY_NOEXCEPT;

/* ---- reading ---- */

/**
 * The names of the run's metrics of every kind, sorted, the supervisor's own ("system/...") among them.
 * @param run        the run
 * @param out_names  [out] free with ty_string_list_free
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_list_metrics(const ty_run *run, ty_string_list **out_names, ty_error **err) TY_NOEXCEPT;

/**
 * The metrics of a run and what they are.
 *
 * @param run       the run
 * @param out_json  [out] an array, by name: [{"name", "kind": "scalar", "text", ... (of the last value), "count",
 * "last_step", "last_time_ms", "last_value", "minimum", "maximum"}]; the last three are null unless the kind is
 * "scalar"; free with ty_string_free
 * @param err       [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_list_metrics_json(const ty_run *run, char **out_json, ty_error **err) TY_NOEXCEPT;

/**
 * The values of metrics of every kind, also while the run goes on, as `get_metrics()` of the Azure ML SDK gives them:
 * what was logged when that happened once, an array when it happened more often; lists are joined; rows and tables are
 * merged to columns (null where a row lacks one); images are the names of their files. The other kinds are the objects
 * that were logged. NaN and infinities are the strings "NaN", "Infinity", "-Infinity". Values come in order of rank,
 * then of logging.
 *
 * @param run         the run
 * @param query_json  NULL for all, or an object with any of: "name", "prefix" (of names), "kinds" (array of names of
 * kinds), "rank" (default: all ranks; the supervisor's own metrics, rank -1, are given only when asked for),
 * "first_step", "last_step", "limit" (of each name at most this many values, the last ones; default 100000),
 * "recursive" (the run's descendants too), "details" (bool)
 * @param out_json    [out] {"<name>": value, ...}; with "recursive" {"<run id>": {"<name>": value, ...}, ...}, this run
 * first, then its descendants in order of creation; with "details" each value is {"kind", "values": [{"rank", "step",
 * "time_ms", "kind", "value"}]}, and an image's is {"path", "caption"}; names without a value are not there; free with
 * ty_string_free
 * @param err         [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_get_metrics_json(const ty_run *run, const char *query_json, char **out_json,
                                         ty_error **err) TY_NOEXCEPT;

/** The points of one metric. Immutable. */
typedef struct ty_metric_series ty_metric_series;

/**
 * Read the numbers of a metric, also while the run goes on. A metric without numbers has an empty series.
 *
 * @param run         the run
 * @param name        the metric
 * @param query_json  NULL for all of every rank, or an object with any of: "rank", "first_step", "last_step", "offset"
 * (points to skip), "limit" (default 100000), "downsample_to" (at most this many points, extremes kept)
 * @param out_series  [out] points in order of rank and time of logging; free with ty_metric_series_free
 * @param err         [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND (no such metric), TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_get_metric(const ty_run *run, const char *name, const char *query_json,
                                   ty_metric_series **out_series, ty_error **err) TY_NOEXCEPT;

/**
 * The last value of a metric.
 *
 * @param run        the run
 * @param name       the metric
 * @param out_value  [out] of the highest-numbered rank's last point when several ranks logged it
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_get_metric_value(const ty_run *run, const char *name, double *out_value,
                                         ty_error **err) TY_NOEXCEPT;

/** @param series  the series, or NULL @return points in it @since 0.1 */
TY_API size_t ty_metric_series_size(const ty_metric_series *series) TY_NOEXCEPT;
/** @param series  the series, or NULL @return points that the query matched before offset, limit and downsampling
 * @since 0.1 */
TY_API int64_t ty_metric_series_total(const ty_metric_series *series) TY_NOEXCEPT;
/** @param series  the series, or NULL @return `size` steps, borrowed; NULL when empty @since 0.1 */
TY_API const int64_t *ty_metric_series_steps(const ty_metric_series *series) TY_NOEXCEPT;
/** @param series  the series, or NULL @return `size` times in Unix milliseconds, borrowed; NULL when empty @since 0.1
 */
TY_API const int64_t *ty_metric_series_times(const ty_metric_series *series) TY_NOEXCEPT;
/** @param series  the series, or NULL @return `size` values, borrowed; NULL when empty @since 0.1 */
TY_API const double *ty_metric_series_values(const ty_metric_series *series) TY_NOEXCEPT;
/** @param series  the series, or NULL @return `size` ranks, borrowed; NULL when empty @since 0.1 */
TY_API const int32_t *ty_metric_series_ranks(const ty_metric_series *series) TY_NOEXCEPT;
/** @param series  the series, or NULL @since 0.1 */
TY_API void ty_metric_series_free(ty_metric_series *series) TY_NOEXCEPT;

/* ---- for other tools ---- */

/**
 * Write the numbers of a run, and the images that TensorBoard can show (PNG, JPEG, GIF), as TensorBoard event files,
 * also while the run goes on. Numbers become single precision, as everywhere in TensorBoard. A second export of the run
 * replaces the files of the first.
 *
 * @param run        the run
 * @param directory  made when it does not exist. A run of one rank has its file there; several ranks have one each in
 * "rank_<n>"; the supervisor's own metrics are in "runner".
 * @param err        [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_NO_SPACE, TY_ERR_PERMISSION, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_export_tensorboard(const ty_run *run, const char *directory, ty_error **err) TY_NOEXCEPT;

/**
 * Write the numbers of a run as CSV: a line "name,rank,step,time_ms,value", then one for each point, by name, rank and
 * order of logging. Numbers are written in full, with '.', whatever the locale; NaN, Infinity and -Infinity by name.
 *
 * @param run   the run
 * @param path  the file; replaced when it exists; its directory is made
 * @param err   [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_NO_SPACE, TY_ERR_PERMISSION, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_export_csv(const ty_run *run, const char *path, ty_error **err) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_METRIC_H_ */
