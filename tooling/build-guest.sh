#!/bin/sh
# Builds guest/ into build/cove-guest: one static program, standard library only, no cargo needed.
# RUSTC chooses the compiler, GUEST_RUSTFLAGS has more flags for it. Does nothing when the result is newer than every
# source; builds at the same time wait for each other.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/build/cove-guest}
mkdir -p "$(dirname "$out")"

is_current() {
  [ -x "$out" ] && [ -z "$(find "$root/guest/src" "$root/tooling/build-guest.sh" -newer "$out" -print -quit)" ]
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
  "${RUSTC:-rustc}" --edition 2021 --crate-name cove_guest -C opt-level=z -C panic=abort -C lto=fat \
    -C codegen-units=1 -C strip=symbols -C target-feature=+crt-static "--remap-path-prefix=$root=." $1 \
    -o "$work/cove-guest" "$root/guest/src/main.rs"
}
# Packed relocations save 55 KiB where linker and C library know them; a library that does not makes a program that
# cannot start.
if [ -n "${GUEST_RUSTFLAGS:-}" ]; then
  build "$GUEST_RUSTFLAGS"
elif ! build '-C link-arg=-Wl,-z,pack-relative-relocs' 2>/dev/null || ! "$work/cove-guest" version >/dev/null 2>&1; then
  build ''
fi
touch -r "$work/start" "$work/cove-guest"
mv "$work/cove-guest" "$out"
