#!/bin/sh
# Unit tests of our own programs, for guests, for layers and for the start of VMs, with nothing but rustc. RUSTC chooses
# the compiler (1.63 or later); arguments go to the test runner.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=$(mktemp -d "${TMPDIR:-/tmp}/cove-test-guest.XXXXXX")
trap 'rm -rf "$out"' EXIT INT TERM
status=0
for program in guest layers boot; do
  "${RUSTC:-rustc}" --edition 2021 --test --crate-name "cove_$program" -D warnings -A dead_code -C debug-assertions \
    -o "$out/$program" "$root/$program/src/main.rs"
  "$out/$program" "$@" || status=$?
done
exit "$status"
