/*
 * What another process does to a workspace, for the tests that need one.
 *   open-unprivileged <workspace>                opens it without root's privileges; prints status and message
 *   register <workspace> <name> <path> <count>   registers `count` versions; prints each number
 *   submit-and-die <workspace> <run id> <line>   submits a shell line and kills itself at once
 *   submit-many <workspace> <name> <count>       submits `true` as <name>-0, <name>-1, ..., waits for all; prints how
 * many completed wait <workspace> <run id>                    waits for the run; prints its final state lines
 * <workspace> <run id> <cursor>          prints the log lines after the cursor ("" = all) start <workspace> <run id>
 * <how> [<file>]    starts a run of its own, logs to it, prints "started" and ends without a word: exit; or fork: a
 * child of its lives until the file exists log <workspace> <run id> <name> <value>      logs a metric; prints the
 * status complete, cancel <workspace> <run id>        asks for it; prints the status as-host <how> <workspace> submits
 * `echo hello`, waits, prints the final state and the log, as a host that: ignores-sigchld; reaps (all children, all
 * the time); has-no-descriptors (0 to 2); blocks-signals; has-children (of its own)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <trainyard/trainyard.h>
#include <unistd.h>

static ty_error *error = NULL;
static FILE *out = NULL;

static void check(ty_status status) {
  if (status == TY_OK) return;
  fprintf(out, "%s: %s\n", ty_status_name(status), ty_error_message(error));
  fflush(out);
  exit(1);
}

static ty_workspace *open_workspace(const char *path) {
  ty_workspace *workspace = NULL;
  check(ty_workspace_open(path, &workspace, &error));
  return workspace;
}

static ty_run *get_run(const char *path, const char *id) {
  ty_workspace *workspace = open_workspace(path);
  ty_run *run = NULL;
  check(ty_run_get(workspace, id, &run, &error));
  ty_workspace_free(workspace);
  return run;
}

static int open_unprivileged(const char *path) {
  if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)) return 2;
  ty_workspace *workspace = NULL;
  const ty_status status = ty_workspace_open(path, &workspace, &error);
  fprintf(out, "%s: %s\n", ty_status_name(status), ty_error_message(error));
  return 0;
}

static int register_versions(const char *path, const char *name, const char *file, int count) {
  ty_workspace *workspace = open_workspace(path);
  for (int i = 0; i < count; ++i) {
    ty_model *model = NULL;
    check(ty_model_register(workspace, name, file, NULL, &model, &error));
    fprintf(out, "%lld\n", (long long)ty_model_version(model));
    ty_model_free(model);
  }
  ty_workspace_free(workspace);
  return 0;
}

static ty_run *submit(const char *path, const char *id, const char *line) {
  ty_workspace *workspace = open_workspace(path);
  ty_job *job = NULL;
  ty_run *run = NULL;
  check(ty_job_new_shell(NULL, line, &job, &error));
  check(ty_job_set_run_id(job, id, &error));
  check(ty_run_submit(workspace, "other", job, &run, &error));
  ty_job_free(job);
  ty_workspace_free(workspace);
  return run;
}

static int submit_many(const char *path, const char *name, size_t count) {
  ty_run **runs = calloc(count, sizeof(ty_run *));
  size_t completed = 0;
  if (runs == NULL) return 2;
  for (size_t i = 0; i < count; ++i) {
    char id[128];
    snprintf(id, sizeof id, "%s-%zu", name, i);
    runs[i] = submit(path, id, "true");
  }
  for (size_t i = 0; i < count; ++i) {
    ty_run_state state = 0;
    check(ty_run_wait(runs[i], TY_WAIT_FOREVER, &state, &error));
    completed += state == TY_RUN_COMPLETED;
    ty_run_free(runs[i]);
  }
  free(runs);
  fprintf(out, "%zu\n", completed);
  return 0;
}

static int wait_for(ty_run *run) {
  ty_run_state state = 0;
  check(ty_run_wait(run, TY_WAIT_FOREVER, &state, &error));
  fprintf(out, "%s\n", ty_run_state_name(state));
  char log[4096];
  size_t size = 0;
  check(ty_run_log_read(run, 0, 0, log, sizeof log, &size, &error));
  fwrite(log, 1, size, out);
  ty_run_free(run);
  return 0;
}

static int print_lines(const char *path, const char *id, const char *cursor) {
  ty_run *run = get_run(path, id);
  ty_event_stream *stream = NULL;
  check(ty_run_events(run, *cursor == '\0' ? NULL : cursor, TY_EVENT_LOG, &stream, &error));
  const ty_event *event = NULL;
  ty_status status = TY_OK;
  while ((status = ty_event_stream_next(stream, TY_WAIT_FOREVER, &event, &error)) == TY_OK)
    fprintf(out, "%s\n", event->text);
  if (status != TY_END) check(status);
  ty_event_stream_free(stream);
  ty_run_free(run);
  return 0;
}

static void *reap_everything(void *unused) {
  (void)unused;
  for (;;) {
    if (waitpid(-1, NULL, 0) < 0) usleep(100);
  }
  return NULL;
}

static int as_host(const char *how, const char *path) {
  sigset_t all;
  pthread_t thread;
  pid_t child = 0;
  if (strcmp(how, "ignores-sigchld") == 0) signal(SIGCHLD, SIG_IGN);
  if (strcmp(how, "reaps") == 0) pthread_create(&thread, NULL, &reap_everything, NULL);
  if (strcmp(how, "blocks-signals") == 0) {
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
  }
  if (strcmp(how, "has-children") == 0 && (child = fork()) == 0) _exit(3);
  if (strcmp(how, "has-no-descriptors") == 0) {
    /* What it prints goes to a copy of standard output. */
    out = fdopen(fcntl(1, F_DUPFD_CLOEXEC, 100), "w");
    close(0);
    close(1);
    close(2);
  }
  const int result = wait_for(submit(path, how, "echo hello; trap '' TERM; sleep 0"));
  if (child > 0) {
    int status = 0;
    if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 3)
      fprintf(out, "the host's own child was taken\n");
  }
  if (strcmp(how, "has-no-descriptors") == 0 && fcntl(0, F_GETFD) != -1) fprintf(out, "descriptor 0 is in use\n");
  fflush(out);
  return result;
}

static void live_until(const char *file) {
  for (int fd = 0; fd < 3; ++fd) close(fd);
  for (int i = 0; i < 6000 && access(file, F_OK) != 0; ++i) usleep(10000);
  _exit(0);
}

static int start_and_die(const char *path, const char *id, const char *how, const char *file) {
  ty_workspace *workspace = open_workspace(path);
  ty_run *run = NULL;
  char options[256];
  snprintf(options, sizeof options, "{\"run_id\":\"%s\"}", id);
  check(ty_run_start(workspace, "other", options, &run, &error));
  check(ty_run_log_metric(run, "loss", 1, -1, &error));
  check(ty_run_log_metric(run, "loss", 2, -1, &error));
  check(ty_run_log_row(run, "row", "{\"a\":1}", -1, &error));
  if (strcmp(how, "fork") == 0 && fork() == 0) live_until(file);
  fprintf(out, "started\n");
  fflush(out);
  kill(getpid(), SIGKILL);
  return 0;
}

static int tell(ty_run *run, ty_status status) {
  fprintf(out, "%s\n", ty_status_name(status));
  ty_run_free(run);
  return 0;
}

static int change(ty_run *run, const char *how, int argc, char **argv) {
  if (argc == 6 && strcmp(how, "log") == 0)
    return tell(run, ty_run_log_metric(run, argv[4], atof(argv[5]), -1, &error));
  return tell(run, strcmp(how, "cancel") == 0 ? ty_run_cancel(run, &error) : ty_run_complete(run, &error));
}

static int command(int argc, char **argv) {
  const char *what = argv[1];
  if (argc >= 5 && strcmp(what, "start") == 0)
    return start_and_die(argv[2], argv[3], argv[4], argc > 5 ? argv[5] : NULL);
  const int changes = strcmp(what, "complete") == 0 || strcmp(what, "cancel") == 0;
  if ((argc == 6 && strcmp(what, "log") == 0) || (argc == 4 && changes))
    return change(get_run(argv[2], argv[3]), what, argc, argv);
  if (argc == 3 && strcmp(what, "open-unprivileged") == 0) return open_unprivileged(argv[2]);
  if (argc == 6 && strcmp(what, "register") == 0) return register_versions(argv[2], argv[3], argv[4], atoi(argv[5]));
  if (argc == 5 && strcmp(what, "submit-and-die") == 0) {
    submit(argv[2], argv[3], argv[4]);
    kill(getpid(), SIGKILL);
  }
  if (argc == 5 && strcmp(what, "submit-many") == 0) return submit_many(argv[2], argv[3], (size_t)atol(argv[4]));
  if (argc == 4 && strcmp(what, "wait") == 0) return wait_for(get_run(argv[2], argv[3]));
  if (argc == 5 && strcmp(what, "lines") == 0) return print_lines(argv[2], argv[3], argv[4]);
  if (argc == 4 && strcmp(what, "as-host") == 0) return as_host(argv[2], argv[3]);
  fprintf(stderr, "unknown command\n");
  return 2;
}

int main(int argc, char **argv) {
  out = stdout;
  const int result = argc > 1 ? command(argc, argv) : 2;
  ty_error_free(error);
  return result;
}
