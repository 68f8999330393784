#!/bin/sh
# A step of the in-process trainer on arrays (MLP 64-256-256-1, batch 256), beside eager PyTorch and beside plain LibTorch, in turn, each at the better of
# one thread and all. Microseconds; medians over rounds of medians over steps.
#
#   sh tests/bench/trainer.sh <build directory>
set -eu
build=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
rounds=${TRAINYARD_BENCH_ROUNDS:-5}
python=${TRAINYARD_PYTHON_TORCH:-}
if [ ! -x "$build/bin/bench_trainer" ] || [ ! -x "$build/bin/raw_mlp_driver" ]; then echo "SKIP: the engine or its drivers are not built"; exit 0; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
median() { sort -n "$1" | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
best() { for threads in 1 "$(nproc)"; do median "$work/$1_$threads"; done | sort -n | head -n 1; }
for round in $(seq "$rounds"); do
  for threads in 1 "$(nproc)"; do
    "$build/bin/bench_trainer" 2000 "$threads" >"$work/line"
    awk '{print $3}' "$work/line" >>"$work/ours_$threads"
    "$build/bin/raw_mlp_driver" 2000 "$threads" >>"$work/raw_$threads"
    [ -z "$python" ] || "$python" "$root/tests/bench/trainer_peer.py" 2000 "$threads" >>"$work/peer_$threads"
  done
done
# Above 0: more than plain LibTorch takes.
awk -v o="$(best ours)" -v r="$(best raw)" 'BEGIN {printf "bench trainer_mlp_step_over_libtorch_us %.1f us peer %.1f ratio %.2f\n", o - r, r, r / o}'
[ -z "$python" ] || awk -v o="$(best ours)" -v p="$(best peer)" 'BEGIN {printf "bench trainer_mlp_step_us %.1f us peer %.1f ratio %.2f\n", o, p, p / o}'
