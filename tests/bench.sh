#!/bin/sh
# Builds the benchmarks (Release) and runs them all. Prints lines `bench <name> <value> <unit> [peer <value> ratio <r>]`, among others.
#
#   sh tests/bench.sh [--no-python-torch] [<name of a benchmark>...]
#
# A benchmark is a program `bench_*` of the build, or a script tests/bench/*.sh; scripts get the build directory as their argument,
# TRAINYARD_SHARED, and TRAINYARD_PYTHON_TORCH and TRAINYARD_PYTHON_ONNX when there is a Python with torch to compare with.
set -u
exec </dev/null
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
. "$root/scripts/common.sh"

python_torch=yes names=
for argument in "$@"; do
  case $argument in
    --no-python-torch) python_torch=no ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) die "unknown option '$argument'" ;;
    *) names="$names $argument" ;;
  esac
done
sh "$root/scripts/setup.sh" build tests || exit
[ "$(id -u)" != 0 ] || sh "$root/scripts/setup.sh" mpi || true  # to compare with mpirun
TRAINYARD_TORCH_DIR=$(sh "$root/scripts/libtorch.sh") || exit
export TRAINYARD_TORCH_DIR
if [ $python_torch = yes ]; then
  TRAINYARD_PYTHON_TORCH=$(sh "$root/scripts/python-torch.sh") || exit
  export TRAINYARD_PYTHON_TORCH
  if python=$(sh "$root/scripts/python-onnx.sh"); then export TRAINYARD_PYTHON_ONNX="$python"; fi  # else its peer is left out
fi
if [ -z "${TRAINYARD_SHARED:-}" ] && [ -d "$root/../shared" ]; then TRAINYARD_SHARED=$(cd "$root/../shared" && pwd); fi
export TRAINYARD_SHARED="${TRAINYARD_SHARED:-}"

build=${TRAINYARD_BUILD_ROOT:-$root/build}/bench
sh "$root/scripts/configure.sh" "$build" -DCMAKE_BUILD_TYPE=Release -DTRAINYARD_BUILD_TESTS=ON -DTRAINYARD_BUILD_BENCH=ON || exit
say "building (Release)"
ninja -C "$build" -j "$(jobs)" benchmarks >"$build/ninja.log" 2>&1 || { grep -A 25 -m 1 '^FAILED' "$build/ninja.log" >&2; die "the build failed: see $build/ninja.log"; }

# What else runs on this machine belongs to the figures.
echo "machine $(nproc) cores, load $(cut -d ' ' -f 1-3 /proc/loadavg), $(uname -m), $(date -u +%Y-%m-%d)"
failed=0 ran=0
for bench in "$build"/bin/bench_* "$root"/tests/bench/*.sh; do
  [ -f "$bench" ] || continue
  name=$(basename "$bench" .sh)
  name=${name#bench_}
  case " ${names:- $name } " in *" $name "*) ;; *) continue ;; esac
  say "$name"
  ran=$((ran + 1))
  case $bench in
    *.sh) sh "$bench" "$build" ;;
    *) "$bench" ;;
  esac || { echo "failed $name"; failed=$((failed + 1)); }
done
echo "$ran benchmarks, $failed failed"
[ $failed = 0 ] && [ $ran -gt 0 ]
