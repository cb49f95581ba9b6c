#!/bin/sh
# Builds one of Cove's own programs: tooling/build-program.sh FOLDER NAME [RESULT]. One static program, standard library
# only, no cargo needed; from FOLDER/src into build/NAME unless RESULT says otherwise.
# RUSTC chooses the compiler, GUEST_RUSTFLAGS has more flags for it. Does nothing when the result is newer than every
# source; builds at the same time wait for each other.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
sources=$root/$1/src
name=$2
out=${3:-$root/build/$name}
mkdir -p "$(dirname "$out")"

is_current() {
  [ -x "$out" ] && [ -z "$(find "$sources" "$root/tooling/build-program.sh" -newer "$out" -print -quit)" ]
}
is_current && exit 0

exec 9>"$out.lock"
if command -v flock >/dev/null 2>&1; then flock 9; fi
is_current && exit 0

# The time of the result is that of the build's start, so that an edit in the meantime is not missed.
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
touch "$work/start"
build() { # further flags
  # shellcheck disable=SC2086 -- flags without blanks in them
  "${RUSTC:-rustc}" --edition 2021 --crate-name "$(echo "$name" | tr - _)" -C opt-level=z -C panic=abort -C lto=fat \
    -C codegen-units=1 -C strip=symbols -C target-feature=+crt-static "--remap-path-prefix=$root=." $1 \
    -o "$work/$name" "$sources/main.rs"
}
# Packed relocations save 55 KiB where linker and C library know them; a library that does not makes a program that
# cannot start.
if [ -n "${GUEST_RUSTFLAGS:-}" ]; then
  build "$GUEST_RUSTFLAGS"
elif ! build '-C link-arg=-Wl,-z,pack-relative-relocs' 2>/dev/null || ! "$work/$name" version >/dev/null 2>&1; then
  build ''
fi
touch -r "$work/start" "$work/$name"
mv "$work/$name" "$out"
