#!/bin/sh
# symbols.sh <library> <version node>: the exported symbols are those of symbols.txt, each carries the node, and each is declared in a public header.
# After adding a function on purpose: sh scripts/update-symbols.sh <library>.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C
# Defined dynamic symbols as name@@NODE; the node itself is an absolute symbol.
readelf --dyn-syms -W "$1" | awk '$7 != "UND" && $7 != "ABS" && $8 != "" && $1 ~ /^[0-9]+:$/ { print $8 }' >"$work/symbols"
sed 's/@.*//' "$work/symbols" | sort >"$work/exported"
cat "$here"/../../include/trainyard/*.h | grep -v '^ *\(#\|\*\|/\*\)' | tr '\n' ' ' | grep -oE 'TY_API [^;(]*\(' | sed 's/.*[ *]\(ty_[a-z0-9_]*\)(/\1/' | sort -u >"$work/declared"
status=0
if grep -v "@@$2\$" "$work/symbols"; then echo "^ without version node $2"; status=1; fi
if ! diff -u "$work/declared" "$work/exported" >"$work/diff"; then
  cat "$work/diff"
  echo "declared in include/trainyard (-) and exported by the library (+) differ"
  status=1
fi
if ! diff -u "$here/symbols.txt" "$work/exported" >"$work/diff"; then
  cat "$work/diff"
  echo "the exported symbols changed; if on purpose: sh scripts/update-symbols.sh $1"
  status=1
fi
exit $status
