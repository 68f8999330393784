#!/bin/sh
# tensorboard_test.sh <checkout> <tensorboard_export>: what the library exports is what TensorBoard reads.
# TRAINYARD_PYTHON_TENSORBOARD names a python that has it (scripts/python-tensorboard.sh makes one).
root=$1
. "$root/scripts/common.sh"
python=${TRAINYARD_PYTHON_TENSORBOARD:-$(trainyard_cache)/python-tensorboard-2.20/bin/python}
[ -x "$python" ] || { echo "SKIP: no Python with TensorBoard at '$python': sh scripts/python-tensorboard.sh makes one"; exit 77; }
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
"$2" "$directory" && "$python" "$1/tests/drivers/tensorboard_check.py" "$directory"
