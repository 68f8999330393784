#!/bin/sh
# install.sh <checkout> <build directory> <C compiler>: installs, moves the tree, and builds and runs programs against it, once through
# pkg-config and once through find_package. The quickstart is one of them; with the engine it trains.
set -eu
source=$1 build=$2 compiler=$3
here=$source/tests/install
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset TRAINYARD_RUNTIME_DIR || true

cmake --install "$build" --prefix "$work/first" >"$work/install.log" 2>&1 || { tail -n 5 "$work/install.log"; exit 1; }
mkdir -p "$work/moved to"
mv "$work/first" "$work/moved to/here"
prefix="$work/moved to/here"
libdir=$(dirname "$(find "$prefix" -name libtrainyard.so | head -n 1)")
[ -e "$libdir/libtrainyard.so" ] || { echo "no libtrainyard.so was installed"; exit 1; }
[ -x "$prefix/libexec/trainyard/trainyard-runner" ] || { echo "no trainyard-runner was installed"; exit 1; }

# Nothing installed names a place it was built in or installed to first. (Debug information may; the engine's torch.path names LibTorch.)
if grep -rIlF -e "$work/first" -e "$build/" "$prefix"; then
  echo "^ names the build directory or the first prefix"
  exit 1
fi
for file in "$libdir/libtrainyard.so" "$prefix"/libexec/trainyard/*; do
  if readelf -d "$file" 2>/dev/null | grep -E 'RPATH|RUNPATH'; then echo "^ $file"; exit 1; fi
done

# The Python packages find the library of their own prefix.
if command -v python3 >/dev/null; then
  found=$(TRAINYARD_LIBRARY='' PYTHONPATH="$prefix/libexec/trainyard/python:$prefix/libexec/trainyard/python/azureml_compat" python3 -B -c \
    'from trainyard import _capi; import azureml.core; print(_capi.load().path)')
  [ "$(realpath "$found")" = "$(realpath "$libdir/libtrainyard.so")" ] || { echo "the Python package loaded '$found'"; exit 1; }
fi

sources=$here/consumer.c
for example in "$source"/examples/c/*.c; do [ ! -e "$example" ] || sources="$sources $example"; done

# pkg-config, in a directory without a space: its output is split into words by the shell.
ln -s "$prefix" "$work/prefix"
flags=$(PKG_CONFIG_PATH="$work/prefix${libdir#"$prefix"}/pkgconfig" pkg-config --cflags --libs trainyard)
mkdir -p "$work/by-pkg-config"
for file in $sources; do
  # shellcheck disable=SC2086  # flags are words
  "$compiler" -std=c99 -Wall -Wextra -pedantic -Werror -D_POSIX_C_SOURCE=200809L "$file" $flags -lm -o "$work/by-pkg-config/$(basename "$file" .c)"
done

cmake -G Ninja -S "$here/package" -B "$work/by-cmake" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$prefix" \
  "-DSOURCES=$(echo $sources | tr ' ' ';')" -DCMAKE_C_FLAGS=-D_POSIX_C_SOURCE=200809L >"$work/cmake.log" 2>&1 || { cat "$work/cmake.log"; exit 1; }
cmake --build "$work/by-cmake" >"$work/cmake.log" 2>&1 || { cat "$work/cmake.log"; exit 1; }

for way in by-pkg-config by-cmake; do
  echo "$way: consumer"
  LD_LIBRARY_PATH="$libdir" "$work/$way/consumer" "$work/workspace $way"
done

# The example for scripts: two nodes of two ranks each, which log through the Python package that the run brings.
if [ -x "$work/by-cmake/run_script" ] && command -v python3 >/dev/null; then
  mkdir -p "$work/script"
  cat >"$work/script/train.py" <<'SCRIPT'
import os, sys
from azureml.core import Run
print("argument", sys.argv[1], "node", os.environ["NODE_RANK"], flush=True)
Run.get_context().log("rank", float(os.environ["RANK"]))
SCRIPT
  LD_LIBRARY_PATH="$libdir" "$work/by-cmake/run_script" "$work/script" train.py --workspace "$work/workspace script" --nodes 2 --processes 4 hello \
    >"$work/script.log" 2>&1 || { cat "$work/script.log"; exit 1; }
  for line in '^\[0\] argument hello node 0$' '^\[3\] argument hello node 1$' '^-- Completed$' '^rank = 3$'; do
    grep -q -- "$line" "$work/script.log" || { cat "$work/script.log"; echo "no line '$line' from run_script"; exit 1; }
  done
  echo "run_script: two nodes of two ranks"
fi

# The example for arrays: what it learns gets small.
if [ -e "$prefix/libexec/trainyard/libtrainyard_torch.so" ] && [ -x "$work/by-cmake/surrogate" ]; then
  (cd "$work" && LD_LIBRARY_PATH="$libdir" by-cmake/surrogate 1000 >surrogate.log 2>&1) || { cat "$work/surrogate.log"; exit 1; }
  tail -n 1 "$work/surrogate.log" | grep -Eq '^loss [0-9.]+e-0[3-9], weights' || { cat "$work/surrogate.log"; echo "surrogate did not learn"; exit 1; }
  [ -s "$work/surrogate.safetensors" ] || { echo "surrogate left no weights"; exit 1; }
  tail -n 1 "$work/surrogate.log"
fi

if [ ! -e "$prefix/libexec/trainyard/libtrainyard_torch.so" ] || [ ! -x "$work/by-cmake/quickstart" ] || [ ! -x "$build/bin/make_images" ]; then
  echo "the quickstart was not run: no engine or no quickstart in this build"
  exit 0
fi
"$build/bin/make_images" --train 4 --val 2 "$work/images"
LD_LIBRARY_PATH="$libdir" "$work/by-cmake/quickstart" --workspace "$work/workspace quickstart" --data "$work/images" --image "$(find "$work/images/val" -name '*.jpg' | sort | head -n 1)" --model squeezenet1_1 \
  --epochs 1 --mode feature --device cpu >"$work/quickstart.log" 2>&1 || { tail -n 20 "$work/quickstart.log"; exit 1; }
tail -n 3 "$work/quickstart.log"
for line in best_val_accuracy model prediction; do
  tail -n 3 "$work/quickstart.log" | grep -q "^$line " || { echo "no line '$line' at the quickstart's end"; exit 1; }
done
