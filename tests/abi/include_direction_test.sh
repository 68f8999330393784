#!/bin/sh
# The check itself: an upward include, one of LibTorch and a relative one are found with file and line; right ones are not.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/lib/util" "$root/lib/store" "$root/lib/core" "$root/lib/capi"
printf '#include <string>\n#include "store/store.h"\n' >"$root/lib/util/a.cc"
printf '#include "util/a.h"\n' >"$root/lib/store/a.cc"
printf '#include "store/store.h"\n' >"$root/lib/capi/a.cc"
sh "$here/include_direction.sh" "$root" >"$root/out" && { echo "an upward include was not found"; exit 1; }
[ "$(cat "$root/out")" = 'lib/util/a.cc:2: util/ may not include store/store.h' ] || { cat "$root/out"; exit 1; }
printf '#include <torch/torch.h>\n#include "../store/a.h"\n#include <trainyard/run.h>\n' >"$root/lib/core/a.cc"
rm "$root/lib/util/a.cc"
sh "$here/include_direction.sh" "$root" >"$root/out" && { echo "LibTorch's include was not found"; exit 1; }
[ "$(grep -c '^lib/core/a.cc:[123]: ' "$root/out")" = 3 ] || { cat "$root/out"; exit 1; }
rm "$root/lib/core/a.cc"
sh "$here/include_direction.sh" "$root"
