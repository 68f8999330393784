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
if [ ! -e "$final/.complete" ]; then
  mkdir -p "$cache"
  free=$(df -Pm "$cache" | awk 'NR == 2 { print $4 }')
  [ "${free:-9999}" -ge 7000 ] || die "the Python environment takes 5 GB and $cache has $free MB free: leave its tests out with --no-python-torch"
fi
# The torch alone is pinned to the engine's version; what it demands, pip chooses.
python_environment "$final" "the Python environment for the tests that compare with Python's torch" 4800 \
  "import numpy, PIL, safetensors, torch, torchvision; assert torch.__version__.startswith('$version')" \
  "torch==$version torchvision==0.26.* numpy pillow safetensors"
