#!/bin/sh
# Makes sure that the system packages for some work are there.
#
#   sh scripts/setup.sh <group>...      groups: build torch python tests mpi horovod containers browser lint abi ffi
#
# Nothing missing: returns at once, without the network. Missing and root: says which and why, and installs them with apt-get.
# Missing and not root: prints the one command to run, and exits 3.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"

# package | groups | command that shows it is there by another way ('-': ask dpkg) | why
packages() {
  cat <<'TABLE'
g++                   | build     | g++        | compiler for C++20
cmake                 | build     | cmake      | builds the project
ninja-build           | build     | ninja      | runs the build's steps in parallel
ccache                | build     | ccache     | a second build takes seconds
pkg-config            | build     | pkg-config | finds libraries; the installed library is used through it
libcurl4-openssl-dev  | build     | -          | HTTP: weights by URL, Azure Machine Learning
libcjson-dev          | build     | -          | JSON
libssl-dev            | build     | -          | SHA-256 and TLS
libsqlite3-dev        | build     | -          | the workspace's database
libarchive-dev        | build     | -          | unpacks the inputs of runs
zlib1g-dev            | build     | -          | CRC-32 of journals, and inflate
libjpeg62-turbo-dev   | build     | -          | decodes JPEG as Pillow and torchvision do
libyaml-cpp-dev       | build     | -          | reads conda files, in the runner
libpng-dev            | build     | -          | decodes PNG
libprotozero-dev      | build     | -          | writes ONNX files
ca-certificates       | torch     | -          | trusts the package index that LibTorch comes from
python3               | torch     | python3    | runs pip
python3-pip           | torch     | pip3       | fetches LibTorch's wheel from the configured package index
unzip                 | torch     | unzip      | unpacks the wheel
binutils              | torch     | readelf    | reads which libraries LibTorch demands
libgtest-dev          | tests     | -          | GoogleTest
libgmock-dev          | tests     | -          | GoogleTest's matchers
locales               | tests     | -          | numbers must be read and written alike where people write 0,5
python3               | tests     | python3    | the tests of the Python packages
python3-numpy         | tests     | -          | NumPy's numbers as metrics
python3-venv          | python    | -          | the environment of the tests that compare with Python's torch
openmpi-bin           | mpi       | mpirun     | starts MPI processes
libopenmpi-dev        | mpi       | mpicc      | compiles the engine's MPI plug-in, and the MPI programs of the tests
python3-torch         | horovod   | -          | the torch that Horovod supports
libtorch-dev          | horovod   | -          | its headers
pybind11-dev          | horovod   | -          | which demand these
python3-dev           | horovod   | -          | compiles Horovod's module
make                  | horovod   | make       | which its build demands
python3-venv          | horovod   | -          | the environment it is put into
python3-setuptools    | horovod   | -          | builds it
python3-wheel         | horovod   | -          | builds it
python3-cloudpickle   | horovod   | -          | Horovod demands it
python3-psutil        | horovod   | -          | Horovod demands it
python3-yaml          | horovod   | -          | Horovod demands it
python3-packaging     | horovod   | -          | Horovod demands it
python3-mpi4py        | mpi       | -          | the tests' MPI program in Python
iproute2              | mpi       | ip         | hosts made of network namespaces
podman                | containers | podman   | environments that are images
runc                  | containers | runc     | runs containers where control groups are hybrid
busybox-static        | containers | -        | the image of the container tests
chromium              | browser   | chromium   | the tests look at the report of a training in it
fonts-dejavu-core     | browser   | -          | letters for it
clang-format          | lint      | clang-format | checks the formatting
clang-tidy            | lint      | clang-tidy   | static analysis
abigail-tools         | abi       | abidiff    | compares the ABI with the recorded one
rustc                 | ffi       | rustc      | the Rust FFI program
golang-go             | ffi       | go         | the Go FFI program
mono-mcs              | ffi       | mcs        | the C# FFI program
mono-runtime          | ffi       | mono       | runs it
TABLE
}

[ $# -gt 0 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }

missing=
reasons=
if command -v dpkg-query >/dev/null 2>&1; then
  installed=$(dpkg-query -W -f='${binary:Package} ${db:Status-Status}\n' 2>/dev/null | sed -n 's/^\([^: ]*\)[^ ]* installed$/\1/p')
  while IFS='|' read -r package groups command why; do
    package=${package%% *}; groups=$(echo $groups); command=$(echo $command); why=${why# }
    wanted=no
    for group in "$@"; do [ "$group" = "$groups" ] && wanted=yes; done
    [ $wanted = yes ] || continue
    if [ "$command" != - ] && command -v "$command" >/dev/null 2>&1; then continue; fi
    case "
$installed
" in *"
$package
"*) continue ;; esac
    missing="$missing $package"
    reasons="$reasons
  $package: $why"
  done <<TABLE
$(packages)
TABLE
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
  say "missing packages:$reasons"
  say "run this once:  sudo apt-get install -y --no-install-recommends$missing"
  exit 3
fi
say "installing with apt-get:$reasons"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -q && apt-get install -y -q --no-install-recommends $missing; } </dev/null >"$log" 2>&1; then
  tail -n 15 "$log" >&2
  die "apt-get failed: is Debian's package server reachable? By hand: apt-get install -y --no-install-recommends$missing"
fi
say "installed$missing"
