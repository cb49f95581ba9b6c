#!/bin/sh
# Builds our own programs with Rust 1.63, the oldest compiler that they promise, and with the one of this machine, both
# without a warning and within the size that it may have. The old compiler is the distribution's package, unpacked
# beside the system, so that a newer one on this machine stays as it is.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Relocations packed as in a release (tooling/release/build-guests.sh).
export GUEST_RUSTFLAGS='-D warnings -C link-arg=-Wl,-z,pack-relative-relocs'
MAX_BYTES=1572864
if rustc --version 2>/dev/null | grep -q ' 1\.63\.'; then
  build() { RUSTC=rustc "tooling/build-$1.sh" "$work/cove-$1"; }
else
  [ -n "$(ls /var/lib/apt/lists/*Packages* 2>/dev/null)" ] || apt-get update -qq
  (cd "$work" && apt-get download -qq rustc=1.63* libstd-rust-1.63 libstd-rust-dev=1.63* libllvm14 2>&1)
  for package in "$work"/*.deb; do dpkg -x "$package" "$work/root"; done
  build() {
    LD_LIBRARY_PATH="$work/root/usr/lib/$(uname -m)-linux-gnu" RUSTC="$work/root/usr/bin/rustc" \
      "tooling/build-$1.sh" "$work/cove-$1"
  }
fi
for name in guest layers boot; do
  build "$name"
  "tooling/build-$name.sh" "$work/cove-$name-here"
done
for program in "$work"/cove-guest "$work"/cove-layers "$work"/cove-boot "$work"/cove-*-here; do
  "$program" version
  size=$(stat -c %s "$program")
  if [ "$size" -gt "$MAX_BYTES" ]; then
    echo "$(basename "$program") has $size bytes, more than $MAX_BYTES" >&2
    exit 1
  fi
done
