#!/bin/sh
# Fuzzes what our own programs, for guests, for layers and for the start of VMs, read from outside:
# tooling/fuzz-guest.sh SECONDS [SEED [CASE]].
# First cases made from a seed: the same seed gives the same cases, and a failure names the case to run again. Then,
# where libFuzzer and a C++ compiler are there, inputs led by what they reach, for as long; one that fails is kept in
# build/. RUSTC chooses the compiler, FUZZER_LIBRARY the library (Debian: package libclang-rt-14-dev).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=$(mktemp -d "${TMPDIR:-/tmp}/cove-test-fuzz.XXXXXX")
trap 'rm -rf "$out"' EXIT INT TERM
library=${FUZZER_LIBRARY:-$(ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-"$(uname -m)".a 2>/dev/null | tail -n 1)}
mkdir -p "$root/build"

fuzz() { # folder of the program, then the arguments of this script
  program=$1
  shift
  compile() {
    "${RUSTC:-rustc}" --edition 2021 --cfg fuzzing --crate-name "cove_$program" -A dead_code -C opt-level=2 \
      -C debug-assertions -C overflow-checks "$@" "$root/$program/src/main.rs"
  }
  compile -o "$out/$program"
  TMPDIR=$out "$out/$program" fuzz "$@"
  [ -z "${3:-}" ] || return 0

  if [ -z "$library" ] || ! command -v c++ >/dev/null 2>&1; then
    echo 'no libFuzzer or no C++ compiler here: inputs led by coverage are left out'
    return 0
  fi
  compile --cfg libfuzzer --crate-type staticlib -C panic=abort -C codegen-units=1 -C passes=sancov-module \
    -C llvm-args=-sanitizer-coverage-level=3 -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
    -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares -o "$out/lib$program.a"
  c++ -o "$out/led" -Wl,-u,LLVMFuzzerTestOneInput -Wl,-u,LLVMFuzzerCustomMutator "$library" "$out/lib$program.a" \
    -lpthread -ldl -lm
  rm -rf "$out/corpus"
  mkdir "$out/corpus"
  if ! "$out/led" -max_total_time="${1:-10}" -seed="${2:-1}" -max_len=8192 -timeout=10 -rss_limit_mb=1024 \
    -artifact_prefix="$root/build/fuzz-$program-" "$out/corpus" >"$out/log" 2>&1; then
    cat "$out/log" >&2
    exit 1
  fi
  tail -n 1 "$out/log"
}

fuzz guest "$@"
fuzz layers "$@"
fuzz boot "$@"
