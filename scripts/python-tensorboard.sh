#!/bin/sh
# Makes the Python environment of the test that opens exported metrics with the real TensorBoard, on first need, in the per-user cache.
# Prints its python as the only line on standard output.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"

version=2.20
python_environment "$(trainyard_cache)/python-tensorboard-$version" "the Python environment with TensorBoard" 180 \
  'import tensorboard.backend.event_processing.event_accumulator' "tensorboard==$version.*"
