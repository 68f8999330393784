/*
 * A rank of a run that uses the library: logs metrics and progress through ty_run_current.
 *   rank metrics <count> [<file>]
 *     logs `count` points of "loss", one progress report in 100, prints "logged", waits until the file exists
 *   rank batch <count>
 *     logs `count` points of "batch" in one call
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

int main(int argc, char **argv) {
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
