#!/bin/sh
# Unit tests of the guest program, with nothing but rustc. RUSTC chooses the compiler (1.63 or later); arguments go to
# the test runner.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=$(mktemp -d "${TMPDIR:-/tmp}/cove-test-guest.XXXXXX")
trap 'rm -rf "$out"' EXIT INT TERM
"${RUSTC:-rustc}" --edition 2021 --test --crate-name cove_guest -D warnings -A dead_code -C debug-assertions \
  -o "$out/tests" "$root/guest/src/main.rs"
"$out/tests" "$@"
