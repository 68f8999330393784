/*
 * A rank of a run that uses the library: logs metrics and progress through ty_run_current.
 *   rank metrics <count> [<file>]
 *     logs `count` points of "loss", one progress report in 100, prints "logged", waits until the file exists
 *   rank batch <count>
 *     logs `count` points of "batch" in one call
 *   rank records <image>
 *     logs one value of every kind
 *   rank complete
 *     completes its run in the middle of logging
 *   rank fail
 *     says that the run failed, and exits with 0
 *   rank child <run id>
 *     starts a child of its run, logs to it and completes it; starts another one and leaves it
 *   rank lines <count>
 *     prints the numbers 1 to `count`, one line each, 5 ms apart
 *   rank outside
 *     prints the status of ty_run_current
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <trainyard/trainyard.h>
#include <unistd.h>

static ty_error *error = NULL;

static void check(ty_status status) {
  if (status == TY_OK) return;
  printf("%s: %s\n", ty_status_name(status), ty_error_message(error));
  exit(1);
}

static void wait_for(const char *path) {
  const struct timespec pause = {0, 5 * 1000 * 1000};
  while (access(path, F_OK) != 0) nanosleep(&pause, NULL);
}

static int print_lines(long count) {
  const struct timespec pause = {0, 5 * 1000 * 1000};
  for (long i = 1; i <= count; ++i) {
    printf("%ld\n", i);
    fflush(stdout);
    nanosleep(&pause, NULL);
  }
  return 0;
}

static void log_points(const ty_run *run, long count) {
  for (long i = 0; i < count; ++i) {
    check(ty_run_log_metric(run, "loss", 1.0 / (double)(i + 1), i, &error));
    if (i % 100 == 0) {
      char json[64];
      snprintf(json, sizeof json, "{\"step\":%ld,\"steps\":%ld}", i, count);
      check(ty_run_log_progress(run, json, &error));
    }
  }
}

static void log_batch(const ty_run *run, long count) {
  double *values = malloc((size_t)count * sizeof *values);
  if (values == NULL) exit(1);
  for (long i = 0; i < count; ++i) values[i] = (double)i;
  check(ty_run_log_metrics(run, "batch", values, NULL, (size_t)count, &error));
  free(values);
}

static void log_records(const ty_run *run, const char *image) {
  check(ty_run_log_metric(run, "loss", 0.5, -1, &error));
  check(ty_run_log_text(run, "note", "from a rank", -1, &error));
  check(ty_run_log_list(run, "list", "[1, 2, \"x\"]", -1, &error));
  check(ty_run_log_row(run, "row", "{\"a\": 1, \"b\": \"x\"}", -1, &error));
  check(ty_run_log_row(run, "row", "{\"a\": 2}", -1, &error));
  check(ty_run_log_table(run, "table", "{\"c\": [1, 2], \"d\": [3, 4]}", -1, &error));
  check(ty_run_log_image(run, "image", image, "a caption", 3, &error));
  check(ty_run_log_confusion_matrix(run, "matrix",
                                    "{\"schema_type\":\"confusion_matrix\",\"schema_version\":\"v1\",\"data\":"
                                    "{\"class_labels\":[\"0\"],\"matrix\":[[5]]}}",
                                    -1, &error));
  check(ty_run_log_accuracy_table(run, "accuracy",
                                  "{\"schema_type\":\"accuracy_table\",\"schema_version\":\"v1\",\"data\":"
                                  "{\"class_labels\":[\"0\"],\"probability_tables\":[[[1,2,3,4]]],"
                                  "\"probability_thresholds\":[0.5],\"percentile_tables\":[[[1,2,3,4]]],"
                                  "\"percentile_thresholds\":[0.5]}}",
                                  -1, &error));
  check(ty_run_log_predictions(run, "predictions",
                               "{\"schema_type\":\"predictions\",\"schema_version\":\"v1\",\"data\":"
                               "{\"bin_edges\":[0,1],\"bin_averages\":[1],\"bin_errors\":[2],\"bin_counts\":[3]}}",
                               -1, &error));
  check(ty_run_log_residuals(run, "residuals",
                             "{\"schema_type\":\"residuals\",\"schema_version\":\"v1\",\"data\":"
                             "{\"bin_edges\":[0,1],\"bin_counts\":[3]}}",
                             -1, &error));
}

static void make_children(const ty_run *run, const char *id) {
  ty_run *child = NULL;
  char options[128];
  snprintf(options, sizeof options, "{\"run_id\":\"%s\"}", id);
  check(ty_run_start_child(run, options, &child, &error));
  check(ty_run_log_metric(child, "inner", 1, -1, &error));
  check(ty_run_complete(child, &error));
  ty_run_free(child);
  snprintf(options, sizeof options, "{\"run_id\":\"%s-left\"}", id);
  check(ty_run_start_child(run, options, &child, &error));
  ty_run_free(child);
}

static void complete_or_fail(const ty_run *run, int complete) {
  check(ty_run_log_metric(run, "before", 1, -1, &error));
  check(complete ? ty_run_complete(run, &error) : ty_run_fail(run, "bad_data", "said by the rank", &error));
  check(ty_run_log_metric(run, "after", 1, -1, &error));
}

int main(int argc, char **argv) {
  if (argc > 2 && strcmp(argv[1], "lines") == 0) return print_lines(atol(argv[2]));
  ty_run *run = NULL;
  const ty_status status = ty_run_current(&run, &error);
  if (argc > 1 && strcmp(argv[1], "outside") == 0) {
    printf("%s\n", ty_status_name(status));
    ty_run_free(run);
    ty_error_free(error);
    return 0;
  }
  check(status);
  const long count = argc > 2 ? atol(argv[2]) : 1;
  if (argc > 1 && strcmp(argv[1], "batch") == 0) {
    log_batch(run, count);
  } else if (argc > 2 && strcmp(argv[1], "records") == 0) {
    log_records(run, argv[2]);
  } else if (argc > 2 && strcmp(argv[1], "child") == 0) {
    make_children(run, argv[2]);
  } else if (argc > 1 && (strcmp(argv[1], "complete") == 0 || strcmp(argv[1], "fail") == 0)) {
    complete_or_fail(run, strcmp(argv[1], "complete") == 0);
  } else {
    log_points(run, count);
  }
  check(ty_run_flush(run, &error));
  printf("logged %s %s\n", ty_run_id(run), ty_run_experiment(run));
  fflush(stdout);
  if (argc > 3) wait_for(argv[3]);
  ty_run_free(run);
  return 0;
}
