#!/bin/sh
# onnx_test.sh <checkout> <script> <driver>: runs a Python script that opens exported files with ONNX Runtime.
# TRAINYARD_PYTHON_ONNX names a python that has it, and torch (scripts/python-onnx.sh makes one).
root=$1
. "$root/scripts/common.sh"
python=${TRAINYARD_PYTHON_ONNX:-$(trainyard_cache)/python-onnx-1.31/bin/python}
[ -x "$python" ] || { echo "SKIP: no Python with ONNX Runtime at '$python': sh scripts/python-onnx.sh makes one"; exit 77; }
exec "$python" "$2" "$3"
