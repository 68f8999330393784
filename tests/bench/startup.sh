#!/bin/sh
# dlopen of libtrainyard.so and ty_version(): time (median of fresh processes, files in the page cache) and what it adds to the resident memory.
set -eu
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/load.c" <<'C'
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static long resident_kib(void) {
  char line[256];
  long value = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, "VmRSS:", 6) == 0) sscanf(line + 6, "%ld", &value);
  }
  if (file != NULL) fclose(file);
  return value;
}

int main(int argc, char **argv) {
  struct timespec start, end;
  const long before = resident_kib();
  clock_gettime(CLOCK_MONOTONIC, &start);
  void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  const char *(*version)(void) = library == NULL ? NULL : (const char *(*)(void))dlsym(library, "ty_version");
  if (version == NULL) return fprintf(stderr, "%s\n", dlerror()), 1;
  const char *text = version();
  clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%.3f %ld %s\n", (end.tv_sec - start.tv_sec) * 1e3 + (end.tv_nsec - start.tv_nsec) / 1e6, resident_kib() - before, text);
  return 0;
}
C
cc -O2 -o "$work/load" "$work/load.c" -ldl
library=$build/lib/libtrainyard.so
for _ in 1 2 3; do "$work/load" "$library" >/dev/null; done
i=0
while [ $i -lt 31 ]; do
  "$work/load" "$library"
  i=$((i + 1))
done >"$work/times"
echo "bench dlopen_version_ms $(sort -n "$work/times" | sed -n 16p | cut -d ' ' -f 1) ms"
echo "bench dlopen_resident_mb $(sort -n -k 2 "$work/times" | sed -n 16p | awk '{printf "%.2f", $2 / 1024}') MB"
if ldd "$library" | grep -i -E 'torch|c10'; then echo "libtrainyard.so links a torch library" >&2; exit 1; fi
