#!/bin/sh
# Checks the engine against PyTorch on a GPU, and measures both. Builds its driver from the source tree alone, against the LibTorch inside the active
# Python's torch: needs that Python (torch, torchvision), CMake, a C++20 compiler, and no network.
#
#   sh tests/gpu/run.sh [--device cuda|cpu] [--small] [--data DIR] [--only checks,ranks,tutorial,batch64,large,jpeg] [--rounds N]
#
# --small: minutes on a CPU, to see that all of this works; its figures mean nothing. --data: a folder with train and val (default: made here).
# TRAINYARD_GPU_PYTHON (python3), TRAINYARD_GPU_BUILD (build/gpu), TRAINYARD_GPU_PREFIX (a folder of carry.sh's) name other places.
# TRAINYARD_GPU_CMAKE adds options: -DTRAINYARD_GPU_WHOLE_JOBS=OFF builds the half that only steps need.
# TRAINYARD_GPU_DRIVER: a driver that is built already.
# tests/gpu/README.md says what is compared, RESULTS.md holds the figures.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${TRAINYARD_GPU_PYTHON:-python3}
build=${TRAINYARD_GPU_BUILD:-$root/build/gpu}
prefix=${TRAINYARD_GPU_PREFIX:-}
command -v "$python" >/dev/null || { echo "FAILED: no $python"; exit 1; }
torch=$("$python" -c 'import os, torch; print(os.path.dirname(torch.__file__))') || { echo "FAILED: $python has no torch"; exit 1; }
driver=${TRAINYARD_GPU_DRIVER:-}
if [ -z "$driver" ]; then
  mkdir -p "$build"
  if command -v ccache >/dev/null 2>&1; then
    export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_SLOPPINESS=pch_defines,time_macros
  fi
  generator=
  command -v ninja >/dev/null 2>&1 && generator="-G Ninja"
  # shellcheck disable=SC2086
  cmake -S "$root/tests/gpu" -B "$build" $generator -DTorch_ROOT="$torch" ${prefix:+-DCMAKE_PREFIX_PATH="$prefix"} ${TRAINYARD_GPU_CMAKE:-} >"$build/cmake.log" 2>&1 ||
    { tail -n 20 "$build/cmake.log"; echo "FAILED: cmake; all of its output is in $build/cmake.log"; exit 1; }
  grep 'gpu_driver:\|LibTorch\|CUDA graphs' "$build/cmake.log" || true
  cmake --build "$build" -j "${TRAINYARD_GPU_JOBS:-$(nproc)}" >"$build/build.log" 2>&1 ||
    { grep -m 5 -A 5 'error' "$build/build.log" || tail -n 20 "$build/build.log"; echo "FAILED: the build; all of its output is in $build/build.log"; exit 1; }
  driver=$build/gpu_driver
fi
if [ -n "$prefix" ]; then export LD_LIBRARY_PATH="$prefix/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -c 'import torch; print("torch", torch.__version__, torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU")'
"$python" "$root/tests/gpu/run.py" --driver "$driver" --work "$work" "$@"
