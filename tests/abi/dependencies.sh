#!/bin/sh
# dependencies.sh <library>: the control plane loads no torch library, no second SQLite, no archive library; and its SONAME carries the ABI number.
set -eu
needed=$(ldd "$1")
if printf '%s\n' "$needed" | grep -E 'libtorch|libc10|libcaffe|libcuda|libcudart|libsqlite3|libarchive|libjpeg|libpng'; then
  echo "^ $1 may not load these"
  exit 1
fi
number=${2#TRAINYARD_}
readelf -d "$1" | grep -q "SONAME.*\[libtrainyard\.so\.$number\]" || { echo "the SONAME is not libtrainyard.so.$number"; exit 1; }
if readelf -d "$1" | grep -E 'RPATH|RUNPATH'; then echo "^ the library has an RPATH"; exit 1; fi
