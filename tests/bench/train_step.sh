#!/bin/sh
# A training step alone (images in memory, forward, backward, SGD), here and in eager PyTorch with channels-last memory and its fused SGD, in turn. Both
# at the better of one thread and all. Milliseconds; medians over rounds of medians over steps.
#
#   sh tests/bench/train_step.sh <build directory>
#
# TRAINYARD_BENCH_ROUNDS (5) and TRAINYARD_BENCH_STEPS (7) make it shorter.
set -eu
build=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
rounds=${TRAINYARD_BENCH_ROUNDS:-5}
steps=${TRAINYARD_BENCH_STEPS:-7}
python=${TRAINYARD_PYTHON_TORCH:-}
if [ ! -x "$build/bin/step_driver" ]; then echo "SKIP: the engine's step_driver is not built"; exit 0; fi
[ -n "$python" ] || echo "no Python with torch (TRAINYARD_PYTHON_TORCH): without the peer"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
median() { sort -n "$1" | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
# best <prefix>: the smaller median over the thread counts.
best() { for threads in 1 "$(nproc)"; do median "$work/$1_$threads"; done | sort -n | head -n 1; }

for case in "resnet18 16" "resnet18 4"; do
  set -- $case
  rm -f "$work"/*
  for round in $(seq "$rounds"); do
    for threads in 1 "$(nproc)"; do
      "$build/bin/step_driver" "$1" "$2" "$steps" "$threads" >>"$work/ours_$threads"
      [ -z "$python" ] || "$python" "$root/tests/bench/train_step_peer.py" "$1" "$2" "$steps" "$threads" >>"$work/peer_$threads"
    done
  done
  if [ -z "$python" ]; then
    echo "bench train_step_$1_batch_$2_ms $(best ours) ms"
  else
    awk -v n="train_step_$1_batch_$2_ms" -v o="$(best ours)" -v p="$(best peer)" 'BEGIN {printf "bench %s %.1f ms peer %.1f ratio %.2f\n", n, o, p, p / o}'
  fi
done
