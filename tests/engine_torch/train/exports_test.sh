#!/bin/sh
# exports_test.sh <libtrainyard_torch.so>: it exports its entry alone, has no RPATH (whoever loads it opens LibTorch by path), and is never unloaded.
set -eu
symbols=$(nm -D --defined-only "$1" | awk '{print $NF}' | sort)
[ "$symbols" = trainyard_engine_entry ] || { echo "exported: $symbols"; exit 1; }
dynamic=$(readelf -dW "$1")
if echo "$dynamic" | grep -E 'RPATH|RUNPATH'; then exit 1; fi
echo "$dynamic" | grep -q NODELETE || { echo "not marked NODELETE"; exit 1; }
if echo "$dynamic" | grep -E 'libtorch_cuda|libcuda|libtorch_python'; then exit 1; fi
