#!/bin/sh
# Records what the library exports, after a function was added on purpose.
#
#   sh scripts/update-symbols.sh [--abi] [<libtrainyard.so>]
#
# Writes tests/abi/symbols.txt; with --abi tests/abi/trainyard.abi too (at a release).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"
abi=no
if [ "${1:-}" = --abi ]; then abi=yes; shift; fi
library=${1:-$root/build/main/lib/libtrainyard.so}
[ -e "$library" ] || die "no library at '$library': build first, or name it"
readelf --dyn-syms -W "$library" | awk '$7 != "UND" && $7 != "ABS" && $8 != "" && $1 ~ /^[0-9]+:$/ { print $8 }' | sed 's/@.*//' | LC_ALL=C sort >"$root/tests/abi/symbols.txt"
say "$(wc -l <"$root/tests/abi/symbols.txt") symbols in tests/abi/symbols.txt"
if [ $abi = yes ]; then
  command -v abidw >/dev/null 2>&1 || die "abidw is not installed (package abigail-tools)"
  abidw --headers-dir "$root/include" --no-corpus-path --no-comp-dir-path --drop-undefined-syms "$library" >"$root/tests/abi/trainyard.abi"
fi
