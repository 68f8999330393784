#!/bin/sh
# Collects the headers and libraries that whole jobs need (libjpeg, libpng, cJSON, OpenSSL's libcrypto, zlib) from this machine into a folder, for a
# machine of the same processor that has none and no network: there, TRAINYARD_GPU_PREFIX=<folder> sh tests/gpu/run.sh.
#
#   sh tests/gpu/carry.sh <folder>
set -eu
folder=$1
mkdir -p "$folder/include" "$folder/lib"
multiarch=$(cc -print-multiarch 2>/dev/null || echo)
for header in jpeglib.h jmorecfg.h jerror.h jconfig.h png.h pngconf.h pnglibconf.h zlib.h zconf.h cjson openssl; do
  found=
  for place in "/usr/include/$header" "/usr/include/$multiarch/$header"; do
    [ -e "$place" ] || continue
    cp -rL "$place" "$folder/include/"
    found=1
  done
  [ -n "$found" ] || { echo "no $header: install its development package"; exit 1; }
done
for library in libjpeg libpng16 libz libcjson libcrypto; do
  found=
  for place in "/usr/lib/$multiarch" "/lib/$multiarch" /usr/lib64 /usr/lib; do
    [ -z "$found" ] && [ -e "$place/$library.so" ] || continue
    # Under the name that programs look for, and the one that linkers do.
    name=$(readelf -d "$place/$library.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
    cp -L "$place/$library.so" "$folder/lib/$name"
    ln -sf "$name" "$folder/lib/$library.so"
    found=1
  done
  [ -n "$found" ] || { echo "no $library.so: install its development package"; exit 1; }
done
ln -sf libpng16.so "$folder/lib/libpng.so"
du -sh "$folder"
