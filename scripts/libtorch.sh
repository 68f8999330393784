#!/bin/sh
# Finds LibTorch, or puts it in the per-user cache. Prints its directory (with include/ and lib/) as the only line on
# standard output; all messages go to standard error.
#
#   sh scripts/libtorch.sh [--cuda] [--offline] [--cached]
#
# Order: TRAINYARD_TORCH_DIR, the `torch` of the active Python, the cache, the wheel torch==2.11.0 from the configured
# package index. Into the cache goes what the engine uses (headers, libtorch_cpu, libc10, libgomp) and those libraries of other wheels
# that libtorch_cpu demands. --cuda adds libtorch_cuda and what that demands. --cached: the cache alone is looked at (the
# Python environment of the tests shares it). Layout and RPATHs are those of site-packages:
#   torch-2.11.0/torch/{include,lib,share}   torch-2.11.0/nvidia/<part>/lib
# cmake/FindTrainyardTorch.cmake looks in the same places in the same order, and judges what it finds.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"

version=2.11.0
python_tag=312
machine=$(uname -m)
cuda=no offline=no cached=no
for option in "$@"; do
  case $option in
    --cuda) cuda=yes ;;
    --offline) offline=yes ;;
    --cached) cached=yes ;;
    *) die "libtorch.sh: unknown option '$option'" ;;
  esac
done

# SHA-256 of the wheels on x86-64. Elsewhere pip's own check of the index's hash stands alone.
checksum() {
  case $machine/$1 in
    x86_64/torch-2.11.0-cp312-*) echo 0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756 ;;
    x86_64/nvidia_cuda_cupti-13.0.85-*) echo 4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8 ;;
    x86_64/nvidia_cuda_runtime-13.0.96-*) echo 7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548 ;;
  esac
}

# The wheel that brings a library, with its size in MB; the versions are those that torch 2.11.0's metadata names (CUDA 13.0.2).
wheel_of() {
  case $1 in
    libcupti.so.13) echo "nvidia-cuda-cupti==13.0.85 11" ;;
    libcudart.so.13) echo "nvidia-cuda-runtime==13.0.96 3" ;;
    libcublas.so.13 | libcublasLt.so.13) echo "nvidia-cublas==13.1.* 520" ;;
    libcudnn.so.9) echo "nvidia-cudnn-cu13==9.19.0.56 370" ;;
    libcufft.so.12) echo "nvidia-cufft==12.0.* 215" ;;
    libcufile.so.0) echo "nvidia-cufile==1.15.* 2" ;;
    libcurand.so.10) echo "nvidia-curand==10.4.* 60" ;;
    libcusolver.so.12) echo "nvidia-cusolver==12.0.* 200" ;;
    libcusparse.so.12) echo "nvidia-cusparse==12.6.* 150" ;;
    libcusparseLt.so.0) echo "nvidia-cusparselt-cu13==0.8.0 220" ;;
    libnccl.so.2) echo "nvidia-nccl-cu13==2.28.9 200" ;;
    libnvshmem_host.so.3) echo "nvidia-nvshmem-cu13==3.4.5 60" ;;
    libnvJitLink.so.13) echo "nvidia-nvjitlink==13.0.* 40" ;;
    libnvrtc.so.13) echo "nvidia-cuda-nvrtc==13.0.* 90" ;;
  esac
}

needed() { readelf -d "$1" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

# fetch <requirement> <MB> <directory>: the wheel with pip, checked, its path in $wheel. A wheel fetched before is used again.
fetch() {
  stem=$(echo "${1%%==*}" | tr - _)
  wheel=$(ls "$3/$stem"-*.whl 2>/dev/null | head -n 1)
  if [ -z "$wheel" ]; then
    [ $offline = no ] || die "LibTorch $version is not in $cache and --offline was given: set TRAINYARD_TORCH_DIR to its directory"
    say "downloading $1 (about $2 MB)"
    mkdir -p "$3/tmp"
    attempt=1
    while :; do
      if [ -t 2 ]; then
        TMPDIR=$3/tmp download "$1" "$3" </dev/null >&2 && break
      else
        TMPDIR=$3/tmp download "$1" "$3" </dev/null >"$3/pip.log" 2>&1 &
        watch_size "$3" "$2" "$1" $!
        wait $! && break
      fi
      if [ $attempt = 3 ]; then
        grep -h '^ERROR' "$3/pip.log" 2>/dev/null | head -n 3 >&2 || true
        die "cannot download $1: is the package index reachable? Without network, set TRAINYARD_TORCH_DIR to a LibTorch 2.6 or newer"
      fi
      attempt=$((attempt + 1))
      say "download failed, attempt $attempt of 3"
    done
    rm -rf "$3/tmp"
    wheel=$(ls "$3/$stem"-*.whl | head -n 1)
  fi
  want=$(checksum "${wheel##*/}")
  if [ -n "$want" ] && ! echo "$want  $wheel" | sha256sum -c --status; then
    rm -f "$wheel"
    die "${wheel##*/} has the wrong SHA-256 and was removed: run again"
  fi
}

download() {
  # shellcheck disable=SC2046  # the options are words
  python3 -m pip --disable-pip-version-check --no-cache-dir download --only-binary=:all: --no-deps --dest "$2" \
    --python-version $python_tag --implementation cp --abi cp$python_tag --abi abi3 --abi none \
    $(wheel_platforms "$machine" 28) "$1"
}

# demanded <lib directory>...: libraries that our copies of LibTorch's files demand and nobody has, one per line.
demanded() {
  for file in "$@"; do
    [ -e "$file" ] || continue
    for library in $(needed "$file"); do
      [ -n "$(wheel_of "$library")" ] || continue
      [ -n "$(find "$stage/nvidia" -name "$library" 2>/dev/null | head -n 1)" ] || echo "$library"
    done
  done | sort -u
}

# Adds to $stage what is not there yet. Done in a copy and renamed, so that a half-made directory is never seen.
complete() {
  fetch "torch==$version" 530 "$downloads"
  say "unpacking LibTorch"
  if [ ! -e "$stage/torch/lib/libtorch_cpu.so" ]; then
    unzip -q -o "$wheel" 'torch/include/*' 'torch/share/*' 'torch/version.py' 'torch/lib/libtorch_cpu.so' 'torch/lib/libc10.so' \
      'torch/lib/libgomp*' '*.dist-info/licenses/*' '*.dist-info/LICENSE*' -d "$stage" 2>/dev/null || [ $? = 11 ]
    # Private copies of common libraries, on machines where the wheel brings some (arm64: OpenBLAS, Arm Compute Library, Fortran).
    unzip -q -o "$wheel" 'torch.libs/*' -d "$stage" 2>/dev/null || [ $? = 11 ]
    unzip -q -n "$wheel" 'torch/lib/lib*.so*' -x 'torch/lib/*cuda*' 'torch/lib/*nvrtc*' 'torch/lib/*nvshmem*' 'torch/lib/*python*' \
      'torch/lib/libtorch.so' 'torch/lib/libshm*' 'torch/lib/libtorch_global_deps.so' -d "$stage" 2>/dev/null || [ $? = 11 ]
  fi
  files="$stage/torch/lib/libtorch_cpu.so $stage/torch/lib/libc10.so"
  if [ $cuda = yes ]; then
    unzip -q -o "$wheel" 'torch/lib/*cuda*' 'torch/lib/*nvrtc*' 'torch/lib/*nvshmem*' -d "$stage"
    files=$(ls "$stage"/torch/lib/lib*.so*)
  fi
  # shellcheck disable=SC2086  # file names without spaces inside our stage
  while library=$(cd "$stage" && demanded ${files} $(find nvidia -name 'lib*.so*' 2>/dev/null) | head -n 1) && [ -n "$library" ]; do
    # shellcheck disable=SC2046
    fetch $(wheel_of "$library") "$downloads"
    unzip -q -o "$wheel" 'nvidia/*' -d "$stage"
    [ -n "$(find "$stage/nvidia" -name "$library" | head -n 1)" ] || die "${wheel##*/} brought no $library"
    rm -f "$wheel"
  done
}

# The active Python's torch, when its version and ABI fit; nothing otherwise. Nothing of it is run: importing takes seconds.
python_torch() {
  directory=$(python3 -c 'import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s else "")' 2>/dev/null) || return 0
  [ -n "$directory" ] && fits "$directory" && printf '%s\n' "$directory"
  return 0
}

fits() {
  header=$1/include/torch/headeronly/version.h
  [ -e "$header" ] || header=$1/include/torch/csrc/api/include/torch/version.h
  [ -e "$header" ] && [ -e "$1/lib/libtorch_cpu.so" ] || return 1
  major=$(sed -n 's/^#define TORCH_VERSION_MAJOR \([0-9]*\).*/\1/p' "$header")
  minor=$(sed -n 's/^#define TORCH_VERSION_MINOR \([0-9]*\).*/\1/p' "$header")
  [ "${major:-0}" -gt 2 ] || { [ "${major:-0}" = 2 ] && [ "${minor:-0}" -ge 6 ]; } || return 1
  grep -q 'NSt7__cxx1112basic_string' "$1/lib/libc10.so"
}

if [ $cached = no ]; then
  if [ -n "${TRAINYARD_TORCH_DIR:-}" ]; then
    [ -d "$TRAINYARD_TORCH_DIR" ] || die "TRAINYARD_TORCH_DIR names no directory: '$TRAINYARD_TORCH_DIR'"
    printf '%s\n' "$TRAINYARD_TORCH_DIR"
    exit 0
  fi
  found=$(python_torch)
  if [ -n "$found" ]; then
    printf '%s\n' "$found"
    exit 0
  fi
fi

cache=$(trainyard_cache)
final=$cache/torch-$version
downloads=$cache/downloads
is_complete() { [ -e "$final/.complete" ] && { [ $cuda = no ] || [ -e "$final/.complete-cuda" ]; }; }
if ! is_complete; then
  [ $offline = no ] || die "LibTorch $version is not in $cache and --offline was given: set TRAINYARD_TORCH_DIR to its directory"
  sh "$root/scripts/setup.sh" torch >&2
  mkdir -p "$cache" "$downloads"
  (
    lock "$cache/.lock" "LibTorch's directory"
    is_complete && exit 0
    stage=$cache/torch-$version.part
    rm -rf "$stage"
    mkdir -p "$stage"
    # Growing an existing directory keeps its files by hard links, and replaces it whole.
    if [ -e "$final/.complete" ]; then cp -al "$final/." "$stage/"; fi
    complete
    touch "$stage/.complete"
    if [ $cuda = yes ]; then touch "$stage/.complete-cuda"; fi
    if [ -e "$final" ]; then mv "$final" "$final.old.$$"; fi
    mv "$stage" "$final"
    rm -rf "$final".old.* "$downloads"
    say "LibTorch $version is in $final ($(du -sm "$final" | cut -f1) MB)"
  )
fi
printf '%s\n' "$final/torch"
