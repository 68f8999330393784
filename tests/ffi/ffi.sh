#!/bin/sh
# ffi.sh <language> <libtrainyard.so> <include directory>: builds (where needed) and runs the smoke program of a language in a temporary
# directory, without any binding, package or network. Exit status 77 and "SKIP: <why>" when the language is not installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
language=$1 library=$2 include=$3
directory=$(dirname "$library")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
need() { command -v "$1" >/dev/null 2>&1 || { echo "SKIP: no $1 ($2)"; exit 77; }; }
export LD_LIBRARY_PATH="$directory${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

case $language in
  python)
    need python3 "package python3"
    set -- python3 "$here/python_smoke.py" "$library"
    ;;
  rust)
    need rustc "package rustc"
    rustc --edition 2021 -D warnings -L "$directory" -o "$work/smoke" "$here/rust/main.rs"
    set -- "$work/smoke" "$work/workspace"
    ;;
  go)
    need go "package golang-go"
    need gcc "package gcc"
    cp -r "$here/go" "$work/go"
    # No proxy, no newer toolchain: what is here must do.
    (cd "$work/go" && CGO_ENABLED=1 GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local CGO_CFLAGS="-I$include" CGO_LDFLAGS="-L$directory" \
      go build -o "$work/smoke" .)
    set -- "$work/smoke" "$work/workspace"
    ;;
  csharp)
    need mcs "package mono-mcs"
    need mono "package mono-runtime"
    mcs -warnaserror -out:"$work/smoke.exe" "$here/csharp/Smoke.cs"
    set -- mono "$work/smoke.exe" "$work/workspace"
    ;;
  *)
    echo "unknown language '$language'"
    exit 2
    ;;
esac
answer=$("$@")
echo "$answer"
case $answer in "ok "*) ;; *) exit 1 ;; esac
