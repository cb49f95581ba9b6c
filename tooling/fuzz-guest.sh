#!/bin/sh
# Fuzzes what the guest agent reads from outside: tooling/fuzz-guest.sh SECONDS [SEED [CASE]].
# The same seed gives the same cases; a failure names the case to run again. RUSTC chooses the compiler.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=$(mktemp -d "${TMPDIR:-/tmp}/cove-test-fuzz.XXXXXX")
trap 'rm -rf "$out"' EXIT INT TERM
"${RUSTC:-rustc}" --edition 2021 --cfg fuzzing --crate-name cove_guest -A dead_code -C opt-level=2 -C debug-assertions \
  -C overflow-checks -o "$out/fuzz" "$root/guest/src/main.rs"
"$out/fuzz" fuzz "$@"
