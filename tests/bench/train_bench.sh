#!/bin/sh
# The PyTorch transfer-learning tutorial's job (SqueezeNet features, ants and bees) here and in Python, in turn, the same recipe and weights: seconds
# per epoch, seconds in all, and the best validation accuracy over five seeds. Medians. The engine is driven without workspace and runner.
#
#   sh tests/bench/train_bench.sh <build directory>
#
# TRAINYARD_BENCH_SEEDS (0 1 2 3 4) and TRAINYARD_BENCH_EPOCHS (10) make it shorter.
set -eu
build=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
shared=${TRAINYARD_SHARED:-$root/../shared}
data=$shared/data/hymenoptera/hymenoptera_data
weights=$shared/data/squeezenet1_1-imagenet-caffe.safetensors
engine=$build/libexec/trainyard/libtrainyard_torch.so
seeds=${TRAINYARD_BENCH_SEEDS:-0 1 2 3 4}
epochs=${TRAINYARD_BENCH_EPOCHS:-10}
if [ ! -d "$data" ] || [ ! -f "$weights" ]; then echo "SKIP: no $data"; exit 0; fi
if [ ! -x "$build/bin/engine_driver" ] || [ ! -f "$engine" ]; then echo "SKIP: the engine or its driver is not built"; exit 0; fi
torch=$(cat "$build/libexec/trainyard/torch.path")
python=${TRAINYARD_PYTHON_TORCH:-}
[ -n "$python" ] || echo "no Python with torch (TRAINYARD_PYTHON_TORCH): without the peer"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

config() { # <seed>
  cat <<JSON
{"data":{"directory":"$data","train_directory":"","validation_directory":"","bad_images":"skip","workers":0,"cache":"auto"},
 "transform":{"resize":256,"crop":224,"augment":true,"scale_minimum":0.08,"mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]},
 "model":{"architecture":"squeezenet1_1","weights":"","mode":"feature"},
 "train":{"epochs":$epochs,"batch_size":4,"seed":$1,"nan_policy":"fail","log_every_steps":10},"evaluate":{"batch_size":32},
 "optimizer":{"name":"sgd","lr":0.001,"momentum":0.9,"weight_decay":0},"schedule":{"name":"step","step_size":7,"gamma":0.1},
 "checkpoint":{"every_epochs":1,"keep":1},"device":"cpu","threads":0}
JSON
}
# seconds <command>...: runs it, its standard output to $work/out, and prints how long that took.
seconds() {
  start=$(date +%s.%N)
  "$@" >"$work/out" 2>"$work/err" || { cat "$work/err" >&2; return 1; }
  echo "$start $(date +%s.%N)" | awk '{printf "%.2f\n", $2 - $1}'
}
field() { sed -n "s/.*\"$1\": *\[\{0,1\}\([^]}]*\)[]}].*/\1/p" "$work/out" | sed 's/,* *"[a-z_]*":.*//' | tr -d ' ' | tr ',' '\n'; }
median() { sort -n "$1" | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

echo "load $(cut -d ' ' -f 1-3 /proc/loadavg)"
for seed in $seeds; do
  rm -rf "$work/output"
  mkdir "$work/output"
  config "$seed" >"$work/config.json"
  seconds "$build/bin/engine_driver" "$torch" "$engine" "$work/config.json" "$weights" "$work/output" >>"$work/ours_total"
  field epoch_seconds >>"$work/ours_epoch"
  field best_val_accuracy >>"$work/ours_best"
  echo "seed $seed: $(tail -n 1 "$work/ours_best") in $(tail -n 1 "$work/ours_total") s"
  [ -n "$python" ] || continue
  seconds "$python" "$root/tests/bench/tutorial_peer.py" --data "$data" --weights "$weights" --epochs "$epochs" --seed "$seed" >>"$work/peer_total"
  field epoch_seconds >>"$work/peer_epoch"
  field best_val_accuracy >>"$work/peer_best"
  echo "seed $seed: peer $(tail -n 1 "$work/peer_best") in $(tail -n 1 "$work/peer_total") s"
done

# line <name> <file> <unit> <digits> faster|higher: the ratio is above 1 when ours is better.
line() {
  ours=$(median "$work/ours_$2")
  if [ -z "$python" ]; then awk -v n="$1" -v o="$ours" -v u="$3" -v d="$4" 'BEGIN {printf "bench %s %.*f %s\n", n, d, o, u}'; return; fi
  peer=$(median "$work/peer_$2")
  awk -v n="$1" -v o="$ours" -v p="$peer" -v u="$3" -v d="$4" -v k="$5" \
    'BEGIN {printf "bench %s %.*f %s peer %.*f ratio %.2f\n", n, d, o, u, d, p, k == "faster" ? p / o : o / p}'
}
line tutorial_epoch_seconds epoch s 3 faster
line tutorial_total_seconds total s 2 faster
line tutorial_best_val_accuracy best fraction 4 higher
