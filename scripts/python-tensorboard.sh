#!/bin/sh
# Makes the Python environment of the test that opens exported metrics with the real TensorBoard, on first need, in the per-user cache
# (180 MB). Prints its python as the only line on standard output.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"

version=2.20
cache=$(trainyard_cache)
final=$cache/python-tensorboard-$version
python=$final/bin/python

if [ ! -e "$final/.complete" ]; then
  sh "$root/scripts/setup.sh" torch python >&2
  mkdir -p "$cache"
  (
    lock "$cache/.lock-tensorboard" "the Python environment with TensorBoard"
    [ ! -e "$final/.complete" ] || exit 0
    say "making the Python environment with TensorBoard (180 MB, once)"
    # In place, as an environment cannot be renamed; .complete tells a whole one from a started one.
    rm -rf "$final"
    base=/usr/bin/python3
    [ -x "$base" ] || base=python3
    "$base" -m venv "$final" || die "python3 -m venv failed: install python3-venv"
    "$python" -m pip --disable-pip-version-check install --no-cache-dir "tensorboard==$version.*" </dev/null >"$cache/python-tensorboard.log" 2>&1 ||
      { grep '^ERROR' "$cache/python-tensorboard.log" | head -n 3 >&2; rm -rf "$final"; die "pip install failed; see $cache/python-tensorboard.log"; }
    "$python" -c 'import tensorboard.backend.event_processing.event_accumulator' >/dev/null 2>&1 || die "the new environment cannot import TensorBoard"
    touch "$final/.complete"
  )
fi
printf '%s\n' "$python"
