/*
 * load <library> [<workspace>]: loads, uses and unloads the library again and again, in a program that uses no threads
 * and does not link it. With a workspace it opens it and follows the runs there, so that the library has had a thread.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <trainyard/trainyard.h>
#include <unistd.h>

/* A function pointer out of dlsym's object pointer, without a cast that ISO C forbids. */
#define FIND(library, type, name)        \
  type name = NULL;                      \
  {                                      \
    void *found = dlsym(library, #name); \
    if (found == NULL) return 1;         \
    memcpy(&name, &found, sizeof found); \
  }

static int follow(void *library, const char *path) {
  typedef ty_status (*open_fn)(const char *, ty_workspace **, ty_error **);
  typedef ty_status (*list_fn)(const ty_workspace *, const char *, int32_t, const char *, ty_string_list **, char **,
                               ty_error **);
  typedef const char *(*item_fn)(const ty_string_list *, size_t);
  typedef ty_status (*get_fn)(ty_workspace *, const char *, ty_run **, ty_error **);
  typedef ty_status (*events_fn)(const ty_run *, const char *, int32_t, ty_event_stream **, ty_error **);
  typedef ty_status (*next_fn)(ty_event_stream *, int64_t, const ty_event **, ty_error **);
  typedef void (*free_fn)(void *);
  FIND(library, open_fn, ty_workspace_open)
  FIND(library, list_fn, ty_workspace_list_runs)
  FIND(library, item_fn, ty_string_list_get)
  FIND(library, get_fn, ty_run_get)
  FIND(library, events_fn, ty_run_events)
  FIND(library, next_fn, ty_event_stream_next)
  FIND(library, free_fn, ty_workspace_free)
  FIND(library, free_fn, ty_string_list_free)
  FIND(library, free_fn, ty_run_free)
  FIND(library, free_fn, ty_event_stream_free)
  ty_workspace *workspace = NULL;
  ty_string_list *ids = NULL;
  ty_run *run = NULL;
  ty_event_stream *stream = NULL;
  const ty_event *event = NULL;
  if (ty_workspace_open(path, &workspace, NULL) != TY_OK) return 1;
  if (ty_workspace_list_runs(workspace, NULL, 1, NULL, &ids, NULL, NULL) != TY_OK) return 1;
  if (ty_run_get(workspace, ty_string_list_get(ids, 0), &run, NULL) != TY_OK) return 1;
  if (ty_run_events(run, NULL, TY_EVENT_ALL, &stream, NULL) != TY_OK) return 1;
  if (ty_event_stream_next(stream, 0, &event, NULL) != TY_OK) return 1;
  ty_event_stream_free(stream);
  ty_run_free(run);
  ty_string_list_free(ids);
  ty_workspace_free(workspace);
  return 0;
}

int main(int argc, char **argv) {
  typedef const char *(*version_fn)(void);
  for (int i = 0; i < 20; ++i) {
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
      printf("%s\n", dlerror());
      return 1;
    }
    FIND(library, version_fn, ty_version)
    if (strcmp(ty_version(), TY_VERSION) != 0) return 1;
    if (argc > 2 && follow(library, argv[2]) != 0) return 1;
    if (dlclose(library) != 0) return 1;
    usleep(5000);
  }
  printf("loaded\n");
  return 0;
}
