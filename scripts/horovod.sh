#!/bin/sh
# Makes the Python environment of the tests that run Horovod: Debian's python3-torch, and horovod from the configured package index,
# built for Open MPI. On first need, in the per-user cache; the build takes minutes. Prints its python as the only line on standard
# output.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"

version=0.28.1
cache=$(trainyard_cache)
final=$cache/horovod-$version
python=$final/bin/python

works() { [ -x "$python" ] && "$python" -c "import horovod.torch as hvd; assert hvd.mpi_built()" >/dev/null 2>&1; }

if [ ! -e "$final/.complete" ]; then
  sh "$root/scripts/setup.sh" mpi horovod >&2
  mkdir -p "$cache"
  (
    lock "$cache/.lock-horovod" "the Horovod environment"
    [ ! -e "$final/.complete" ] || exit 0
    if ! works; then
      say "building Horovod for Open MPI (about five minutes, once)"
      rm -rf "$final"
      # With the system's packages: torch is one of them.
      /usr/bin/python3 -m venv --system-site-packages "$final" || die "python3 -m venv failed: install python3-venv"
      # MPI alone: no Gloo, no other framework. Nothing else is fetched: Debian has what it demands.
      HOROVOD_WITH_PYTORCH=1 HOROVOD_WITH_MPI=1 HOROVOD_CPU_OPERATIONS=MPI HOROVOD_WITHOUT_GLOO=1 HOROVOD_WITHOUT_TENSORFLOW=1 \
        HOROVOD_WITHOUT_MXNET=1 MAKEFLAGS="-j$(jobs)" "$python" -m pip --disable-pip-version-check install --no-cache-dir --no-deps \
        --no-build-isolation "horovod==$version" </dev/null >"$cache/horovod.log" 2>&1 ||
        { grep -i 'error' "$cache/horovod.log" | head -n 3 >&2; rm -rf "$final"; die "building Horovod failed; see $cache/horovod.log"; }
      works || die "the new environment cannot import horovod.torch; see $cache/horovod.log"
    fi
    touch "$final/.complete"
  )
fi
printf '%s\n' "$python"
