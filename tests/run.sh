#!/bin/sh
# Builds the project and runs all its tests. Installs what is missing (root), says so, and works again without the network.
#
#   sh tests/run.sh [--quick] [--no-python-torch] [--no-sanitize] [--no-lint] [--only <stage>]... [ctest options]
#
# --quick            the inner loop: builds, and runs the unit tests alone
# --no-python-torch  leaves out, by name, the tests that need Python's torch (several GB, fetched once)
# --no-sanitize      leaves out the builds under sanitizers (stages asan and tsan)
# --no-lint          leaves out clang-format and clang-tidy
# --only <stage>     one of: main asan tsan lint; may be given again
#
# TRAINYARD_TORCH_DIR     the LibTorch to build with          TRAINYARD_BUILD_ROOT  where build directories go (<checkout>/build)
# TRAINYARD_FUZZ_SECONDS  how long each fuzz target runs (5)  TRAINYARD_SHARED      the data directory (<checkout>/../shared)
#
# Ends with each skipped and each failed test by name, the time of each stage, and one line: N passed, N failed, N skipped.
set -u
exec </dev/null
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
. "$root/scripts/common.sh"
. "$root/tests/results.sh"

quick=no python_torch=yes sanitize=yes lint=yes only= ctest_options=
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=yes python_torch=no sanitize=no lint=no ;;
    --no-python-torch) python_torch=no ;;
    --no-sanitize) sanitize=no ;;
    --no-lint) lint=no ;;
    --only) shift; only="$only $1" ;;
    -h | --help) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) ctest_options="$ctest_options $1" ;;
  esac
  shift
done
wanted() { case " ${only:- $1 } " in *" $1 "*) true ;; *) false ;; esac; }

builds=${TRAINYARD_BUILD_ROOT:-$root/build}
mkdir -p "$builds" 2>/dev/null && [ -w "$builds" ] || builds=$(trainyard_cache)/build-$(printf %s "$root" | sha256sum | cut -c1-8)
mkdir -p "$builds" || die "cannot write '$builds': give another directory with TRAINYARD_BUILD_ROOT"
if [ -z "${TRAINYARD_SHARED:-}" ] && [ -d "$root/../shared" ]; then TRAINYARD_SHARED=$(cd "$root/../shared" && pwd); fi
export TRAINYARD_SHARED="${TRAINYARD_SHARED:-}"
export CTEST_PARALLEL_LEVEL="${CTEST_PARALLEL_LEVEL:-$(nproc)}"
workspace=$(mktemp -d)
trap 'rm -rf "$workspace"' EXIT
results_begin "$workspace/results"

# optional <group> <tool>: installs a group when that can be done; true when the tool is there in the end.
optional() {
  command -v "$2" >/dev/null 2>&1 && return 0
  [ "$(id -u)" = 0 ] && sh "$root/scripts/setup.sh" "$1"
  command -v "$2" >/dev/null 2>&1
}

# build <stage> <directory> <targets> <cmake options>...: configures and builds; a failure counts as a failed test.
build() {
  stage=$1 directory=$2 targets=$3
  shift 3
  # shellcheck disable=SC2086  # targets are words
  if sh "$root/scripts/configure.sh" "$directory" "$@" && ninja -C "$directory" -j "$(jobs)" $targets >"$directory/ninja.log" 2>&1; then
    return 0
  fi
  [ ! -e "$directory/ninja.log" ] || grep -A 25 -m 1 '^FAILED' "$directory/ninja.log" >&2
  result failed "$stage" "build" "does not build; see $directory/ninja.log"
  return 1
}

# tests <stage> <directory> <ctest options>...: runs ctest and takes its results over.
tests() {
  stage=$1 directory=$2
  shift 2
  rm -rf "$directory/results" "$directory/ctest.xml"
  mkdir -p "$directory/results"
  # shellcheck disable=SC2086  # ctest options are words
  ctest --test-dir "$directory" --output-junit "$directory/ctest.xml" --output-on-failure --no-tests=ignore "$@" $ctest_options
  results_of_ctest "$stage" "$directory" || result failed "$stage" ctest "ctest gave no results"
}

# What the quickstart builds, with tests.
stage_main() {
  directory=$builds/main
  if [ $quick = yes ]; then
    build main "$directory" "" -DCMAKE_BUILD_TYPE=Release -DTRAINYARD_BUILD_TESTS=ON && tests main "$directory" -LE 'e2e|slow|python-torch'
    return
  fi
  build main "$directory" "" -DCMAKE_BUILD_TYPE=Release -DTRAINYARD_BUILD_TESTS=ON -DTRAINYARD_FUZZ_SECONDS="${TRAINYARD_FUZZ_SECONDS:-5}" || return
  if [ $python_torch = no ]; then
    skip_label main "$directory" python-torch "--no-python-torch was given"
    tests main "$directory" -LE python-torch
  else
    tests main "$directory"
  fi
}

# Everything but the engine (LibTorch is not built for sanitizers).
stage_asan() {
  directory=$builds/asan
  build asan "$directory" "" -DTRAINYARD_BUILD_TESTS=ON -DTRAINYARD_BUILD_ENGINE=OFF -DTRAINYARD_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_CXX_FLAGS=-O1 -DTRAINYARD_FUZZ_SECONDS="${TRAINYARD_FUZZ_SECONDS:-5}" || return
  ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1 \
    tests asan "$directory" -LE 'python-torch|bench'
}

# What has threads or talks to other processes.
stage_tsan() {
  directory=$builds/tsan
  build tsan "$directory" "" -DTRAINYARD_BUILD_TESTS=ON -DTRAINYARD_BUILD_ENGINE=OFF -DTRAINYARD_SANITIZE=thread -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS=-O1 || return
  # ThreadSanitizer cannot place its shadow memory under the largest address space randomisation: switched off for it.
  if setarch "$(uname -m)" -R true 2>/dev/null; then
    ctest() { setarch "$(uname -m)" -R ctest "$@"; }
  fi
  TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 tests tsan "$directory" -R '(store|journal|runner|event|launch|driver)' -LE 'python-torch|bench|fuzz'
  unset -f ctest
}

stage_lint() {
  if optional lint clang-format; then
    if sh "$root/scripts/lint.sh" format; then result passed lint clang-format; else result failed lint clang-format "run sh scripts/lint.sh fix"; fi
  else
    result skipped lint clang-format "clang-format is not installed"
  fi
  if ! optional lint clang-tidy; then
    result skipped lint clang-tidy "clang-tidy is not installed"
  elif [ ! -e "$builds/asan/compile_commands.json" ]; then
    result skipped lint clang-tidy "stage asan did not run: no compile commands without LibTorch"
  elif sh "$root/scripts/lint.sh" tidy "$builds/asan"; then
    result passed lint clang-tidy
  else
    result failed lint clang-tidy "see above"
  fi
}

timed() {
  wanted "$1" || return 0
  printf '\n== %s\n' "$1"
  began=$(date +%s)
  "stage_$1"
  result_time "$1" $(($(date +%s) - began))
}

began_all=$(date +%s)
if [ -n "${TRAINYARD_TORCH_DIR:-}" ]; then sh "$root/scripts/setup.sh" build tests; else sh "$root/scripts/setup.sh" build torch tests; fi || exit
torch=$(sh "$root/scripts/libtorch.sh") || exit
export TRAINYARD_TORCH_DIR="$torch"
if [ $quick = no ] && wanted main; then
  optional abi abidiff || true
  optional mpi mpicc || true
  optional containers podman || true
  optional browser chromium || true
  optional ffi rustc || true
  optional ffi go || true
  optional ffi mcs || true
  if python=$(sh "$root/scripts/python-tensorboard.sh"); then export TRAINYARD_PYTHON_TENSORBOARD="$python"; fi  # else its test skips
  if [ $python_torch = yes ]; then
    if python=$(sh "$root/scripts/python-torch.sh"); then
      export TRAINYARD_PYTHON_TORCH="$python"
    else
      result failed set-up python-torch "cannot make the Python environment; leave its tests out with --no-python-torch"
      python_torch=no
    fi
    # Their tests skip by name where they cannot be made.
    if horovod=$(sh "$root/scripts/horovod.sh"); then export TRAINYARD_PYTHON_HOROVOD="$horovod"; fi
    if frameworks=$(sh "$root/scripts/python-frameworks.sh"); then export TRAINYARD_PYTHON_FRAMEWORKS="$frameworks"; fi
    if onnx=$(sh "$root/scripts/python-onnx.sh"); then export TRAINYARD_PYTHON_ONNX="$onnx"; fi
  fi
fi
result_time set-up $(($(date +%s) - began_all))

timed main
if [ $sanitize = yes ]; then
  timed asan
  timed tsan
elif [ $quick = no ]; then
  result skipped asan all "--no-sanitize was given"
  result skipped tsan all "--no-sanitize was given"
fi
if [ $lint = yes ]; then timed lint; elif [ $quick = no ]; then result skipped lint all "--no-lint was given"; fi
results_end
