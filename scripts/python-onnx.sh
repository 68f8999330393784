#!/bin/sh
# Makes the Python environment of the tests and the benchmark that open exported models with ONNX Runtime, on first need, in the
# per-user cache. Its torch is that of python-torch.sh, which it sees; onnxscript is what torch.onnx.export demands. Prints its python as
# the only line on standard output.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"

version=1.31
torch=$(sh "$root/scripts/python-torch.sh")
python_environment "$(trainyard_cache)/python-onnx-$version" "the Python environment with ONNX Runtime" 150 \
  'import onnx, onnxruntime, onnxscript, torch' "onnxruntime==$version.* onnx==1.23.* onnxscript==0.7.*" "$torch"
