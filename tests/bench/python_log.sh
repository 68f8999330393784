#!/bin/sh
# python_log.sh <build directory>: how many metrics a Python script logs a second, through trainyard and through azureml.core, in a real run.
set -eu
build=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
command -v python3 >/dev/null 2>&1 || { echo "SKIP: no python3"; exit 0; }
TRAINYARD_TEST_LIBRARY=$build/lib/libtrainyard.so TRAINYARD_TEST_PACKAGES=$build/libexec/trainyard/python TRAINYARD_TEST_SOURCE=$root \
  exec python3 "$root/tests/bindings/python/log_bench.py"
