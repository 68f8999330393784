/* A stranger's program: runs a command job in the workspace given as the argument, and reads its log. Ends with 0 when
 * all went well. */
#include <stdio.h>
#include <string.h>
#include <trainyard/trainyard.h>

static int fail(const char *what, ty_error *err) {
  fprintf(stderr, "%s: %s\n", what, err ? ty_error_message(err) : "no message");
  ty_error_free(err);
  return 1;
}

int main(int argc, char **argv) {
  ty_error *err = NULL;
  ty_workspace *workspace = NULL;
  ty_job *job = NULL;
  ty_run *run = NULL;
  ty_run_state state = TY_RUN_NOT_STARTED;
  char log[64] = "";
  size_t size = 0;
  if (argc != 2) return 2;
  if (strcmp(ty_version(), TY_VERSION) != 0 || ty_abi_version() != TY_ABI_VERSION) {
    return fail("header and library are of different versions", NULL);
  }
  if (ty_workspace_open(argv[1], &workspace, &err) != TY_OK) return fail("open", err);
  if (ty_job_new_shell(NULL, "echo hello from a moved library", &job, &err) != TY_OK) return fail("job", err);
  if (ty_run_submit(workspace, "install", job, &run, &err) != TY_OK) return fail("submit", err);
  if (ty_run_wait(run, 60000, &state, &err) != TY_OK) return fail("wait", err);
  if (state != TY_RUN_COMPLETED) return fail(ty_run_state_name(state), NULL);
  if (ty_run_log_read(run, 0, 0, log, sizeof log - 1, &size, &err) != TY_OK) return fail("log", err);
  if (strcmp(log, "hello from a moved library\n") != 0) return fail(log, NULL);
  ty_workspace_free(workspace);
  ty_run_free(run);
  ty_job_free(job);
  puts("ok");
  return 0;
}
