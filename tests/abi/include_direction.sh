#!/bin/sh
# include_direction.sh <checkout>: fails with file:line for an #include under lib/ that points upward, or sideways where that is not allowed.
#
#   capi, runner -> drivers -> compute | launch | store | engine -> core -> util       engine_torch -> engine/engine.h, core, util
# The exact rule is the table below; a folder may include itself.
cd "$1/lib" || exit 2
found=$(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' -r . --include='*.h' --include='*.cc' --include='*.c' | sed 's|^\./||' | awk '
  BEGIN {
    allowed["util"] = ""
    allowed["core"] = "util"
    allowed["compute"] = "core util"
    allowed["store"] = "core util"
    allowed["engine"] = "core util"
    allowed["launch"] = "core util"
    allowed["drivers"] = "compute store launch engine core util"
    allowed["capi"] = "drivers compute store launch engine core util"
    allowed["runner"] = "drivers compute store launch engine core util"
    allowed["engine_torch"] = "engine core util"
    # trainyard/dlpack.h is a plain struct of the field, not of this library: everyone may include it.
  }
  {
    split($0, part, ":")
    file = part[1]
    target = $0
    sub(/^[^<"]*[<"]/, "", target)
    sub(/[>"].*/, "", target)
    folder = file; sub(/\/.*/, "", folder)
    to = target; sub(/\/.*/, "", to)
    where = "lib/" file ":" part[2] ": "
    if (target ~ /^\.\.?\//) { print where "\"" target "\": name the folder from lib/"; next }
    if (to == "torch" || to == "ATen" || to == "c10" || to == "caffe2") {
      if (folder != "engine_torch") print where "<" target ">: only engine_torch/ may include LibTorch"
      next
    }
    if (to == "trainyard" && target != "trainyard/dlpack.h") {
      if (folder != "capi") print where "<" target ">: only capi/ may include the public headers"
      next
    }
    if (!(to in allowed) || to == folder) next
    if (!(folder in allowed)) { print where "folder " folder "/ is not in the table of tests/abi/include_direction.sh"; next }
    if (folder == "engine_torch" && to == "engine" && target != "engine/engine.h") { print where target ": engine_torch/ sees engine/engine.h alone"; next }
    if (!index(" " allowed[folder] " ", " " to " ")) print where folder "/ may not include " target
  }')
[ -z "$found" ] && exit 0
printf '%s\n' "$found"
exit 1
