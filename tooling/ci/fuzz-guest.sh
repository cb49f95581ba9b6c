#!/bin/sh
# Fuzzes the guest program with libFuzzer too. Its library is the distribution's package, unpacked beside the system.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-"$(uname -m)".a >/dev/null 2>&1; then
  [ -n "$(ls /var/lib/apt/lists/*Packages* 2>/dev/null)" ] || apt-get update -qq
  (cd "$work" && apt-get download -qq libclang-rt-14-dev 2>&1)
  dpkg -x "$work"/*.deb "$work/root"
  FUZZER_LIBRARY=$(ls "$work"/root/usr/lib/llvm-14/lib/clang/*/lib/linux/libclang_rt.fuzzer-"$(uname -m)".a)
  export FUZZER_LIBRARY
fi
tooling/fuzz-guest.sh "${1:-20}"
