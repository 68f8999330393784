#!/bin/sh
# The main job, end to end: builds the library, makes (or takes) images, trains a model, registers it, and predicts with it.
#
#   sh examples/quickstart.sh [--data DIR] [--weights FILE|URL#sha256] [--model NAME] [--epochs N] [--mode finetune|feature]
#                             [--device auto|cpu|cuda] [--seed N] [--workspace DIR]
#
# --data       images as DIR/train/<class>/*.jpg and DIR/val/<class>/*.jpg; without it a set of its own is made
# --weights    .safetensors or .pth; a URL needs the file's SHA-256 behind '#'; without it training starts from random weights
# --model      resnet18, resnet50, squeezenet1_1, mobilenet_v3_small, efficientnet_b0, vit_b_16 ... (resnet18); all: include/trainyard/train.h
# --epochs     times through the training images (10)
# --mode       finetune trains everything, feature the last layer alone (finetune; feature when --weights is given)
# --workspace  where runs and models are kept ($HOME/trainyard-quickstart)
#
# Installs what is missing as root; otherwise says which packages to install. LibTorch is fetched once (TRAINYARD_TORCH_DIR: use this one).
# Last lines: best_val_accuracy <number>, model <name>:<version>, prediction <file> <class> <probability>.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"

data= weights= model=resnet18 epochs=10 mode= device=auto seed= workspace=
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --data=* | --weights=* | --model=* | --epochs=* | --mode=* | --device=* | --seed=* | --workspace=*)
      option=${1%%=*} value=${1#*=}
      shift ;;
    --data | --weights | --model | --epochs | --mode | --device | --seed | --workspace)
      [ $# -ge 2 ] || die "$1 wants a value"
      option=$1 value=$2
      shift 2 ;;
    *) die "unknown option '$1': see sh examples/quickstart.sh --help" ;;
  esac
  case $option in
    --data) data=$value ;;
    --weights) weights=$value ;;
    --model) model=$value ;;
    --epochs) epochs=$value ;;
    --mode) mode=$value ;;
    --device) device=$value ;;
    --seed) seed=$value ;;
    --workspace) workspace=$value ;;
  esac
done
# As lib/core/train_config_table.cc has them; known before anything is installed or built.
models="squeezenet1_0 squeezenet1_1 resnet18 resnet34 resnet50 resnet101 densenet121 vgg16_bn mobilenet_v2 mobilenet_v3_small mobilenet_v3_large"
models="$models efficientnet_b0 convnext_tiny vit_b_16"
case " $models " in *" $model "*) ;; *) die "--model $model: one of $models" ;; esac
case $epochs in '' | *[!0-9]* | 0*) die "--epochs $epochs: a number from 1 on" ;; esac
case $device in auto | cpu | cuda) ;; *) die "--device $device: one of auto, cpu, cuda" ;; esac
[ -n "$mode" ] || if [ -n "$weights" ]; then mode=feature; else mode=finetune; fi
case $mode in finetune | feature) ;; *) die "--mode $mode: one of finetune, feature" ;; esac
if [ -n "$data" ]; then
  for part in train val; do [ -d "$data/$part" ] || die "--data $data: no directory '$part' in it (wanted: train/<class>/*.jpg and val/<class>/*.jpg)"; done
  data=$(cd "$data" && pwd)
fi
case $weights in
  http://* | https://*) case $weights in *'#'*) ;; *) die "--weights: a URL needs the file's SHA-256 behind '#', as in https://host/file.pth#0123..." ;; esac ;;
  '') ;;
  *)
    [ -r "$weights" ] || die "--weights $weights: no such file"
    weights=$(cd "$(dirname "$weights")" && pwd)/$(basename "$weights") ;;
esac

if [ -n "${TRAINYARD_TORCH_DIR:-}" ]; then sh "$root/scripts/setup.sh" build; else sh "$root/scripts/setup.sh" build torch; fi
# A GPU needs LibTorch's CUDA half too; nothing else does.
cuda=
if [ "$device" = cuda ] || { [ "$device" = auto ] && [ -e /dev/nvidia0 ]; }; then cuda=--cuda; fi
# shellcheck disable=SC2086  # empty or one option
TRAINYARD_TORCH_DIR=$(sh "$root/scripts/libtorch.sh" $cuda)
export TRAINYARD_TORCH_DIR

build=${TRAINYARD_BUILD_ROOT:-$root/build}/quickstart
mkdir -p "$build" 2>/dev/null && [ -w "$build" ] || build=$(trainyard_cache)/build-$(printf %s "$root" | sha256sum | cut -c1-8)/quickstart
mkdir -p "$build"
(
  lock "$build/.lock" "the build"
  if [ ! -e "$build/build.ninja" ] || [ "$(cat "$build/.torch" 2>/dev/null)" != "$TRAINYARD_TORCH_DIR" ]; then
    say "configuring"
    sh "$root/scripts/configure.sh" "$build" -DCMAKE_BUILD_TYPE=Release -DTRAINYARD_BUILD_TESTS=OFF
    printf '%s\n' "$TRAINYARD_TORCH_DIR" >"$build/.torch"
  fi
  [ -x "$build/bin/quickstart" ] || say "building (about five minutes on two cores)"
  if [ -t 2 ]; then
    NINJA_STATUS='[%f of %t, %e s] ' ninja -C "$build" -j "$(jobs)" >&2 || die "the build failed: see above"
  else
    ninja -C "$build" -j "$(jobs)" >"$build/ninja.log" 2>&1 &
    ninja=$!
    waited=0
    while kill -0 $ninja 2>/dev/null; do
      sleep 1
      waited=$((waited + 1))
      [ $((waited % 15)) != 0 ] || say "building: $(grep -o '^\[[0-9]*/[0-9]*\]' "$build/ninja.log" | tail -n 1) after $waited s"
    done
    wait $ninja || { grep -A 25 -m 1 '^FAILED' "$build/ninja.log" >&2; die "the build failed: see $build/ninja.log"; }
  fi
)

workspace=${workspace:-${HOME:?}/trainyard-quickstart}
if [ -z "$data" ]; then
  data=$(trainyard_cache)/quickstart-images-1
  [ -d "$data" ] || say "making 450 images in $data"
  mkdir -p "$(dirname "$data")"
  "$build/bin/make_images" "$data"
fi
image=$(find "$data/val" -type f \( -iname '*.jpg' -o -iname '*.jpeg' -o -iname '*.png' \) | LC_ALL=C sort | head -n 1)
[ -n "$image" ] || die "--data $data: no JPEG or PNG file below '$data/val'"
set -- --workspace "$workspace" --data "$data" --image "$image" --model "$model" --epochs "$epochs" --mode "$mode" --device "$device"
[ -z "$weights" ] || set -- "$@" --weights "$weights"
[ -z "$seed" ] || set -- "$@" --seed "$seed"
exec "$build/bin/quickstart" "$@"
