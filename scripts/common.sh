# What every script here uses; sourced with $root set to the project's directory. POSIX sh: a bare Debian has dash alone.

# A compilation of another checkout of the same sources counts as the same one.
export CCACHE_BASEDIR="${CCACHE_BASEDIR:-$root}" CCACHE_NOHASHDIR="${CCACHE_NOHASHDIR:-1}"
export CCACHE_SLOPPINESS="${CCACHE_SLOPPINESS:-pch_defines,time_macros}"  # as it wants for precompiled headers

say() { printf '%s\n' "trainyard: $*" >&2; }
die() { say "$*"; exit 1; }

# The per-user cache, outside every build tree.
trainyard_cache() { printf '%s\n' "${TRAINYARD_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/trainyard}"; }

# jobs: how many compilers may run. One that includes LibTorch's headers takes up to 2 GB, so memory counts as well as cores.
jobs() {
  cores=$(nproc 2>/dev/null || echo 1)
  gigabytes=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo 2>/dev/null)
  room=$(( ${gigabytes:-4} / 2 ))
  [ "$room" -ge 1 ] || room=1
  if [ "$room" -lt "$cores" ]; then echo "$room"; else echo "$cores"; fi
}

# lock <file> <what>: holds an exclusive lock on descriptor 9 until the caller (a subshell) ends.
lock() {
  exec 9>>"$1" || die "cannot write '$1': give another cache with TRAINYARD_CACHE_DIR"
  flock -n 9 || { say "waiting: another process is making $2"; flock 9; }
}

# watch_size <directory> <expected MB> <what> <pid>: plain progress lines every 3 s while process <pid> lives.
watch_size() {
  waited=0
  while kill -0 "$4" 2>/dev/null; do
    sleep 1
    waited=$((waited + 1))
    [ $((waited % 3)) = 0 ] || continue
    size=$(du -sm "$1" 2>/dev/null | cut -f1)
    say "$3: ${size:-0} of about $2 MB, ${waited} s"
  done
}

# wheel_platforms <machine> <newest glibc minor>: pip's --platform options; pip takes them literally, so each one that an
# older wheel may carry is named.
wheel_platforms() {
  minor=17
  options="--platform manylinux2014_$1 --platform linux_$1"
  while [ "$minor" -le "$2" ]; do
    options="--platform manylinux_2_${minor}_$1 $options"
    minor=$((minor + 1))
  done
  printf '%s\n' "$options"
}

# python_environment <directory> <what> <MB> <check> <requirements> [<python>]: makes a Python environment with these packages, unless it is
# there, and prints its python. <check> is Python code that works in it. It sees the packages of <python>, where one is given.
python_environment() {
  if [ ! -e "$1/.complete" ]; then
    sh "$root/scripts/setup.sh" torch python >&2
    cache=$(dirname "$1") name=$(basename "$1")
    mkdir -p "$cache"
    (
      lock "$cache/.lock-$name" "$2"
      [ ! -e "$1/.complete" ] || exit 0
      say "making $2 ($3 MB, once)"
      # In place, as an environment cannot be renamed; .complete tells a whole one from a started one.
      rm -rf "$1"
      base=${6:-/usr/bin/python3}
      [ -x "$base" ] || base=python3
      "$base" -m venv "$1" || die "python3 -m venv failed: install python3-venv"
      if [ -n "${6:-}" ]; then
        # pip takes what it finds there for installed.
        packages=$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        "$6" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$packages/others.pth"
      fi
      mkdir -p "$1/tmp"
      # shellcheck disable=SC2086  # requirements are words
      TMPDIR=$1/tmp "$1/bin/python" -m pip --disable-pip-version-check install --no-cache-dir --only-binary :all: $5 </dev/null >"$cache/$name.log" 2>&1 &
      watch_size "$1" "$3" "$2" $!
      wait $! || { grep '^ERROR' "$cache/$name.log" | head -n 3 >&2; rm -rf "$1"; die "pip install failed; see $cache/$name.log"; }
      rm -rf "$1/tmp"
      "$1/bin/python" -c "$4" >/dev/null 2>&1 || die "the new environment does not work ($4); see $cache/$name.log"
      touch "$1/.complete"
    )
  fi
  printf '%s\n' "$1/bin/python"
}
