#!/bin/sh
# abidiff.sh <library>: nothing was removed or changed since the recorded ABI (additions are welcome).
set -u
here=$(cd "$(dirname "$0")" && pwd)
command -v abidiff >/dev/null 2>&1 || { echo "SKIP: abidiff is not installed (package abigail-tools)"; exit 77; }
[ -e "$here/trainyard.abi" ] || { echo "SKIP: no ABI is recorded yet (the first release records it with scripts/update-symbols.sh --abi)"; exit 77; }
abidiff --no-added-syms --headers-dir2 "$here/../../include" "$here/trainyard.abi" "$1"
