#!/bin/sh
# sh scripts/lint.sh format            are all C and C++ files formatted?
# sh scripts/lint.sh fix               formats them
# sh scripts/lint.sh tidy <build dir>  clang-tidy on the files that the build compiles, but not those of LibTorch's side
# A file that clang-tidy found good is not looked at again until it, a header or the rules change.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"
cd "$root"

# files <directory>...: our C and C++ files, new ones too; without git, whatever lies outside build directories.
files() {
  { git ls-files -co --exclude-standard -- "$@" 2>/dev/null || find "$@" -path './build*' -prune -o -type f -print; } | sed 's|^\./||' |
    grep -E '\.(c|cc|h)$' | while IFS= read -r file; do [ ! -e "$file" ] || printf '%s\n' "$file"; done
}

case ${1:-} in
  format) files . | xargs clang-format --dry-run -Werror ;;
  fix) files . | xargs clang-format -i ;;
  tidy)
    build=$2
    stamps=$(trainyard_cache)/clang-tidy
    mkdir -p "$stamps"
    rules=$({ cat .clang-tidy scripts/lint.sh; clang-tidy --version; files lib include tests | grep '\.h$' | xargs cat; } | sha256sum | cut -c1-16)
    todo=$(mktemp)
    trap 'rm -f "$todo"' EXIT
    for file in $(files lib | grep -E '\.(c|cc)$' | grep -v '^lib/engine_torch/'); do
      grep -q "\"file\": \"$root/$file\"" "$build/compile_commands.json" || continue
      stamp=$stamps/$(printf '%s %s' "$rules" "$file" | cat - "$file" | sha256sum | cut -c1-24)
      [ -e "$stamp" ] || printf '%s %s\n' "$file" "$stamp" >>"$todo"
    done
    say "clang-tidy: $(wc -l <"$todo") files to look at"
    # The path-sensitive analysis at its full depth takes three quarters of the time; the sanitizers look deeper.
    depth=
    for setting in mode=shallow max-nodes=30000; do
      depth="$depth --extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=$setting"
    done
    export build depth
    # shellcheck disable=SC2016  # for the inner shell
    xargs -r -P "$(jobs)" -L 1 sh -c 'clang-tidy -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option $depth "$1" 2>/dev/null && touch "$2" && echo "clang-tidy: $1"' sh <"$todo"
    # Stamps of rules and contents long gone.
    find "$stamps" -type f -mtime +30 -delete
    ;;
  *) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
