#!/bin/sh
# unfit_torch.sh <checkout> <LibTorch's lib directory>: each unusable LibTorch is refused with one line that says which and why.
set -eu
source=$1 torch=$(dirname "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fake <name>: a LibTorch of symbolic links, to be spoilt.
fake() {
  mkdir -p "$work/$1/lib" "$work/$1/include/torch/headeronly" "$work/$1/include/torch/csrc/api/include/torch"
  touch "$work/$1/include/torch/csrc/api/include/torch/torch.h"
  ln -s "$torch"/lib/lib*.so* "$work/$1/lib/"
  version "$1" 2 11
}
version() { printf '#define TORCH_VERSION_MAJOR %s\n#define TORCH_VERSION_MINOR %s\n#define TORCH_VERSION_PATCH 0\n' "$2" "$3" >"$work/$1/include/torch/headeronly/version.h"; }

# refused <name> <words>
refused() {
  if sh "$source/scripts/configure.sh" "$work/build" -DTorch_ROOT="$work/$1" -DTRAINYARD_BUILD_TESTS=OFF 2>"$work/message"; then echo "$1: was accepted"; exit 1; fi
  head -n 1 "$work/message"
  [ "$(wc -l <"$work/message")" = 1 ] || { cat "$work/message"; echo "$1: not one line"; exit 1; }
  grep -q "$work/$1.*$2" "$work/message" || { echo "$1: the line lacks '$2'"; exit 1; }
  rm -rf "$work/build"
}

refused nothing 'no such directory'
mkdir "$work/empty"
refused empty 'no lib/libtorch_cpu.so'
fake old
version old 2 5
refused old 'version 2.5.0, and 2.6 or newer is needed'
fake headerless
rm "$work/headerless/include/torch/csrc/api/include/torch/torch.h"
refused headerless 'no headers'
fake abi
rm "$work/abi/lib/libc10.so"
printf 'no such symbol' >"$work/abi/lib/libc10.so"
refused abi 'old C++ ABI'
fake truncated
rm "$work/truncated/lib/libtorch_cpu.so"
head -c 100000 "$torch/lib/libtorch_cpu.so" >"$work/truncated/lib/libtorch_cpu.so"
refused truncated 'broken, truncated'
fake lonely
rm "$work/lonely/lib/libc10.so"
head -c 3000000 "$torch/lib/libc10.so" >"$work/lonely/lib/libc10.so"
rm "$work/lonely/lib/libtorch_cpu.so"
cp "$(command -v ls)" "$work/lonely/lib/libtorch_cpu.so"
refused lonely 'cannot be loaded'
