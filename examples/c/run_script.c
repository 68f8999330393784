/*
 * Runs a training script on one or several nodes of this machine, prints what every rank says as it says it, and then
 * what the script logged.
 *
 *   run_script SOURCE_DIRECTORY SCRIPT [--workspace DIR] [--nodes N] [--processes N] [ARGUMENT...]
 *
 * The script finds RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torch.distributed wants them, and may
 * use the Python packages `trainyard` or `azureml.core` to log metrics.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <trainyard/trainyard.h>

static ty_error *error;

static void check(ty_status status, const char *what) {
  if (status == TY_OK) return;
  fprintf(stderr, "%s: %s (%s)\n", what, ty_error_message(error), ty_status_name(status));
  ty_error_free(error);
  exit(1);
}

/* A line of each rank as it comes, and each change of the run's state. Nothing is lost when this program is slow. */
static void follow(const ty_run *run) {
  ty_event_stream *events = NULL;
  check(ty_run_events(run, NULL, TY_EVENT_STATE | TY_EVENT_LOG, &events, &error), "follow");
  const ty_event *event = NULL;
  ty_status status;
  while ((status = ty_event_stream_next(events, TY_WAIT_FOREVER, &event, &error)) == TY_OK) {
    if (event->kind == TY_EVENT_STATE) printf("-- %s\n", ty_run_state_name(event->state));
    if (event->kind == TY_EVENT_LOG) printf("[%" PRId32 "] %.*s\n", event->rank, (int)event->text_size, event->text);
    fflush(stdout);
  }
  if (status != TY_END) check(status, "follow");
  ty_event_stream_free(events);
}

static void show_metrics(const ty_run *run) {
  ty_string_list *names = NULL;
  check(ty_run_list_metrics(run, &names, &error), "metrics");
  for (size_t i = 0; i < ty_string_list_size(names); ++i) {
    const char *name = ty_string_list_get(names, i);
    double value = 0;
    if (strncmp(name, "system/", 7) == 0) continue;
    if (ty_run_get_metric_value(run, name, &value, NULL) == TY_OK) printf("%s = %g\n", name, value);
  }
  ty_string_list_free(names);
}

int main(int argc, char **argv) {
  const char *directory = "trainyard-workspace";
  int nodes = 1, processes = 0, first = 3; /* processes of all nodes together; 0: one per node */
  for (; first + 1 < argc; first += 2) {
    if (strcmp(argv[first], "--workspace") == 0) {
      directory = argv[first + 1];
    } else if (strcmp(argv[first], "--nodes") == 0) {
      nodes = atoi(argv[first + 1]);
    } else if (strcmp(argv[first], "--processes") == 0) {
      processes = atoi(argv[first + 1]);
    } else {
      break;
    }
  }
  if (argc < 3) {
    fprintf(stderr,
            "usage: run_script SOURCE_DIRECTORY SCRIPT [--workspace DIR] [--nodes N] [--processes N] "
            "[ARGUMENT...]\n"
            "N processes in all, one per node by default; everything after the options is the script's\n");
    return 2;
  }
  ty_workspace *workspace = NULL;
  check(ty_workspace_open(directory, &workspace, &error), "workspace");

  ty_job *job = NULL;
  check(ty_job_new_script(argv[1], argv[2], &job, &error), "job");
  for (int i = first; i < argc; ++i) check(ty_job_add_argument(job, argv[i], &error), "argument");
  if (processes > 0 || nodes > 1) {
    ty_distribution *distribution = NULL;
    check(ty_distribution_new_pytorch(processes, nodes, &distribution, &error), "distribution");
    check(ty_job_set_distribution(job, distribution, &error), "distribution");
    ty_distribution_free(distribution);
  }
  ty_run *run = NULL;
  check(ty_run_submit(workspace, "scripts", job, &run, &error), "submit");
  ty_job_free(job);
  printf("run %s\n", ty_run_id(run));

  follow(run);
  show_metrics(run);
  ty_error *failure = NULL;
  check(ty_run_failure(run, &failure, &error), "failure");
  if (failure != NULL) fprintf(stderr, "failed: %s\n", ty_error_message(failure));
  const int failed = failure != NULL;
  ty_error_free(failure);
  ty_run_free(run);
  ty_workspace_free(workspace);
  return failed;
}
