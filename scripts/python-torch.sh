#!/bin/sh
# Makes the Python environment of the tests and benchmarks that compare with Python's torch, on first need, in the per-user cache.
# Prints its python as the only line on standard output. The whole wheel set takes several GB: libtorch_python demands libtorch_cuda
# and that demands CUDA's libraries, with a GPU or without.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"

version=2.11.0
cache=$(trainyard_cache)
final=$cache/python-torch-$version
python=$final/bin/python
# The torch alone is pinned to the engine's version; what it demands, pip chooses.
requirements="torch==$version torchvision==0.26.* numpy pillow safetensors"

works() { [ -x "$python" ] && "$python" -c "import numpy, PIL, safetensors, torch, torchvision; assert torch.__version__.startswith('$version')" >/dev/null 2>&1; }

if [ ! -e "$final/.complete" ]; then
  sh "$root/scripts/setup.sh" torch python >&2
  mkdir -p "$cache"
  (
    lock "$cache/.lock-python" "the Python environment"
    [ ! -e "$final/.complete" ] || exit 0
    if ! works; then
      free=$(df -Pm "$cache" | awk 'NR == 2 { print $4 }')
      [ "${free:-9999}" -ge 7000 ] || die "the Python environment takes 5 GB and $cache has $free MB free: leave its tests out with --no-python-torch"
      say "making the Python environment for the tests that compare with Python's torch (4.8 GB, once)"
      # In place, as an environment cannot be renamed; .complete tells a whole one from a started one.
      rm -rf "$final"
      base=/usr/bin/python3
      [ -x "$base" ] || base=python3
      "$base" -m venv "$final" || die "python3 -m venv failed: install python3-venv"
      mkdir -p "$final/tmp"
      # shellcheck disable=SC2086  # requirements are words
      TMPDIR=$final/tmp "$python" -m pip --disable-pip-version-check install --no-cache-dir $requirements </dev/null >"$cache/python-torch.log" 2>&1 &
      watch_size "$final" 4800 "Python's torch" $!
      wait $! || { grep '^ERROR' "$cache/python-torch.log" | head -n 3 >&2; rm -rf "$final"; die "pip install failed; see $cache/python-torch.log"; }
      rm -rf "$final/tmp"
      works || die "the new environment cannot import torch; see $cache/python-torch.log"
    fi
    touch "$final/.complete"
  )
fi
printf '%s\n' "$python"
