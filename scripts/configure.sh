#!/bin/sh
# Runs cmake, and shows one clear line when something is wrong with LibTorch, else the first error.
#
#   sh scripts/configure.sh <build directory> [<cmake option>...]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"
directory=$1
shift
mkdir -p "$directory"
if command -v ccache >/dev/null 2>&1; then
  # In the build's own commands, so that a plain `ninja` finds what another checkout has compiled, too.
  ccache="env;CCACHE_BASEDIR=$CCACHE_BASEDIR;CCACHE_NOHASHDIR=$CCACHE_NOHASHDIR;CCACHE_SLOPPINESS=$CCACHE_SLOPPINESS;ccache"
  set -- "-DCMAKE_C_COMPILER_LAUNCHER=$ccache" "-DCMAKE_CXX_COMPILER_LAUNCHER=$ccache" "$@"
fi
if cmake -S "$root" -B "$directory" -G Ninja "$@" >"$directory/cmake.log" 2>&1; then exit 0; fi
if grep '^trainyard: ' "$directory/cmake.log" >&2; then exit 1; fi
grep -v '^--' "$directory/cmake.log" | grep -A 8 -m 1 'Error' >&2 || tail -n 5 "$directory/cmake.log" >&2
die "cmake failed; all of its output is in $directory/cmake.log"
