#!/bin/sh
# Makes the Python environment of the tests that run scripts of PyTorch Lightning and Accelerate, on first need, in the per-user
# cache (150 MB). Its torch is that of python-torch.sh, which it sees. Prints its python as the only line on standard output.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"

# These are pinned; what they demand, pip chooses.
requirements="lightning==2.6.1 accelerate==1.15.0"
torch=$(sh "$root/scripts/python-torch.sh")
cache=$(trainyard_cache)
final=$cache/python-frameworks-$(printf '%s %s' "$torch" "$requirements" | sha256sum | cut -c1-12)
python=$final/bin/python

if [ ! -e "$final/.complete" ]; then
  (
    lock "$cache/.lock-frameworks" "the Python environment with Lightning and Accelerate"
    [ ! -e "$final/.complete" ] || exit 0
    say "making the Python environment with Lightning and Accelerate (150 MB, once)"
    # In place, as an environment cannot be renamed; .complete tells a whole one from a started one.
    rm -rf "$final"
    "$torch" -m venv "$final" || die "python3 -m venv failed: install python3-venv"
    # pip takes what it finds there for installed.
    packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$torch" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$packages/torch.pth"
    # shellcheck disable=SC2086  # requirements are words
    "$python" -m pip --disable-pip-version-check install --no-cache-dir --only-binary :all: $requirements </dev/null >"$cache/python-frameworks.log" 2>&1 ||
      { grep '^ERROR' "$cache/python-frameworks.log" | head -n 3 >&2; rm -rf "$final"; die "pip install failed; see $cache/python-frameworks.log"; }
    "$python" -c 'import accelerate, lightning, torch' >/dev/null 2>&1 ||
      die "the new environment cannot import its packages; see $cache/python-frameworks.log"
    touch "$final/.complete"
  )
fi
printf '%s\n' "$python"
