#!/bin/sh
# python_test.sh <script> <driver>...: runs a Python script that compares with Python's torch, or says SKIP: when there is none
# (scripts/python-torch.sh makes the environment; TRAINYARD_PYTHON_TORCH overrides where it is).
set -eu
cache=${TRAINYARD_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/trainyard}
python=${TRAINYARD_PYTHON_TORCH:-$cache/python-torch-2.11.0/bin/python}
if [ ! -x "$python" ] || ! "$python" -c "import safetensors, torch, torchvision" 2>/dev/null; then
  echo "SKIP: no Python with torch and torchvision: run sh scripts/python-torch.sh"
  exit 0
fi
exec "$python" "$@"
