#!/bin/sh
# small_test.sh <driver>: tests/gpu/run.sh in its small form on the CPU, with the Python that the other comparisons use; or SKIP: when there is none.
set -eu
cache=${TRAINYARD_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/trainyard}
python=${TRAINYARD_PYTHON_TORCH:-$cache/python-torch-2.11.0/bin/python}
if [ ! -x "$python" ] || ! "$python" -c "import torch, torchvision" 2>/dev/null; then
  echo "SKIP: no Python with torch and torchvision: run sh scripts/python-torch.sh"
  exit 77
fi
TRAINYARD_GPU_PYTHON=$python TRAINYARD_GPU_DRIVER=$1 exec sh "$(dirname "$0")/run.sh" --device cpu --small
