#!/bin/sh
# The data pipeline alone: decode, random resized crop, flip, normalise, batches of 4 from the ants and bees, two threads here and two worker processes in
# torchvision (with PIL), in turn. Images per second; medians over rounds, each of them the best of three epochs. Pixels are compared bit by bit in the tests.
#
#   sh tests/bench/pipeline.sh <build directory>
set -eu
build=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
data=${TRAINYARD_SHARED:-$root/../shared}/data/hymenoptera/hymenoptera_data/train
rounds=${TRAINYARD_BENCH_ROUNDS:-5}
python=${TRAINYARD_PYTHON_TORCH:-}
if [ ! -d "$data" ]; then echo "SKIP: no $data"; exit 0; fi
if [ ! -x "$build/bin/pipeline_driver" ]; then echo "SKIP: the engine's pipeline_driver is not built"; exit 0; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
median() { sort -n "$1" | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
for round in $(seq "$rounds"); do
  "$build/bin/pipeline_driver" "$data" 3 2 4 | sort -n | tail -n 1 >>"$work/ours"
  [ -z "$python" ] || "$python" "$root/tests/bench/pipeline_peer.py" "$data" 3 2 4 | sort -n | tail -n 1 >>"$work/peer"
done
if [ -z "$python" ]; then
  echo "bench pipeline_images_per_second $(median "$work/ours") images/s"
else
  awk -v o="$(median "$work/ours")" -v p="$(median "$work/peer")" 'BEGIN {printf "bench pipeline_images_per_second %.1f images/s peer %.1f ratio %.2f\n", o, p, o / p}'
fi
