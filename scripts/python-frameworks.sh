#!/bin/sh
# Makes the Python environment of the tests that run scripts of PyTorch Lightning and Accelerate, on first need, in the per-user
# cache. Its torch is that of python-torch.sh, which it sees. Prints its python as the only line on standard output.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"

# These are pinned; what they demand, pip chooses.
requirements="lightning==2.6.1 accelerate==1.15.0"
torch=$(sh "$root/scripts/python-torch.sh")
python_environment "$(trainyard_cache)/python-frameworks-$(printf '%s %s' "$torch" "$requirements" | sha256sum | cut -c1-12)" \
  "the Python environment with Lightning and Accelerate" 150 'import accelerate, lightning, torch' "$requirements" "$torch"
