#!/bin/sh
# Builds guest/ into build/cove-guest: one static program, standard library only, no cargo needed.
# RUSTC chooses the compiler. Does nothing when the result is newer than every source.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/build/cove-guest}
mkdir -p "$(dirname "$out")"
if [ -x "$out" ] && [ -z "$(find "$root/guest/src" "$root/tooling/build-guest.sh" -newer "$out" -print -quit)" ]; then
  exit 0
fi
"${RUSTC:-rustc}" --edition 2021 --crate-name cove_guest -C opt-level=2 -C panic=abort -C lto=fat \
  -C codegen-units=1 -C strip=symbols -C target-feature=+crt-static -o "$out.new" "$root/guest/src/main.rs"
mv "$out.new" "$out"
