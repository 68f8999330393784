/*
 * What another process does to a workspace, for the tests that need one.
 *   open-unprivileged <workspace>                opens it without root's privileges; prints status and message
 *   register <workspace> <name> <path> <count>   registers `count` versions; prints each number
 *   submit-and-die <workspace> <run id> <line>   submits a shell line and kills itself at once
 *   wait <workspace> <run id>                    waits for the run; prints its final state
 *   lines <workspace> <run id> <cursor>          prints the log lines after the cursor ("" = all)
 *   as-host <how> <workspace>                    submits `echo hello`, waits, prints the final state and the log, as
 *     a host that: ignores-sigchld; reaps (all children, all the time); has-no-descriptors (0 to 2); blocks-signals;
 *     has-children (of its own)
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

static int command(int argc, char **argv) {
  const char *what = argv[1];
  if (argc == 3 && strcmp(what, "open-unprivileged") == 0) return open_unprivileged(argv[2]);
  if (argc == 6 && strcmp(what, "register") == 0) return register_versions(argv[2], argv[3], argv[4], atoi(argv[5]));
  if (argc == 5 && strcmp(what, "submit-and-die") == 0) {
    submit(argv[2], argv[3], argv[4]);
    kill(getpid(), SIGKILL);
  }
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
