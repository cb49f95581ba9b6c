#!/bin/bash
# Builds our own programs of a release into build/release/guest/linux-{x64,arm64}/cove-{guest,layers,boot}: static, stripped,
# the same bytes on every machine that has the same toolchain. With --check it builds each a second time in another
# folder and compares, and tries those for arm64 in an emulator.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd -P)
release=$root/build/release
toolchain=$release/toolchain
MAX_BYTES=1572864
"$root/tooling/release/debian-toolchain.sh"

build() { # source tree, machine, folder of the results
  local flags="-D warnings --remap-path-prefix=$1=."
  case $2 in
    # Packed relocations save 55 KiB; the C library of the toolchain reads them.
    x64) flags="$flags -C linker=$toolchain/x86_64-cc -C link-arg=-Wl,-z,pack-relative-relocs" ;;
    arm64) flags="$flags --target aarch64-unknown-linux-gnu -C linker=$toolchain/aarch64-cc" ;;
  esac
  RUSTC="$toolchain/rustc" GUEST_RUSTFLAGS=$flags "$1/tooling/build-guest.sh" "$3/cove-guest"
  RUSTC="$toolchain/rustc" GUEST_RUSTFLAGS=$flags "$1/tooling/build-layers.sh" "$3/cove-layers"
  RUSTC="$toolchain/rustc" GUEST_RUSTFLAGS=$flags "$1/tooling/build-boot.sh" "$3/cove-boot"
  # They end where they panic.
  node "$root/tooling/release/drop-unwinding.ts" "$3/cove-guest" "$3/cove-layers" "$3/cove-boot"
}

both() { # source tree, folder of the results
  build "$1" x64 "$2/linux-x64" &
  local first=$!
  build "$1" arm64 "$2/linux-arm64"
  wait "$first"
}

readelf() {
  LD_LIBRARY_PATH="$toolchain/root/usr/lib/x86_64-linux-gnu" "$toolchain/root/usr/bin/x86_64-linux-gnu-readelf" "$@"
}

examine() { # program, machine as ELF names it
  local size
  size=$(stat -c %s "$1")
  [ "$size" -le "$MAX_BYTES" ] || { echo "error: $1 has $size bytes, more than $MAX_BYTES" >&2; return 1; }
  readelf -h "$1" | grep -q "Machine:.*$2" || { echo "error: $1 is not for $2" >&2; return 1; }
  ! readelf -l "$1" | grep -q INTERP || { echo "error: $1 is not static" >&2; return 1; }
  ! readelf -S "$1" | grep -q '\.symtab\|\.debug_info' || { echo "error: $1 is not stripped" >&2; return 1; }
  ! grep -qaF "$root" "$1" || { echo "error: $1 names $root" >&2; return 1; }
  printf '%s: %s bytes\n' "${1#"$root"/}" "$size"
}

both "$root" "$release/guest"
rm -f "$release"/guest/*/*.lock
for program in cove-guest cove-layers cove-boot; do
  examine "$release/guest/linux-x64/$program" X86-64
  examine "$release/guest/linux-arm64/$program" AArch64
done
(cd "$release/guest" && sha256sum linux-*/cove-guest linux-*/cove-layers linux-*/cove-boot >SHA256SUMS)
[ "${1:-}" = --check ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/elsewhere/tooling"
cp -R "$root/guest" "$root/layers" "$root/boot" "$work/elsewhere/"
cp "$root"/tooling/build-*.sh "$work/elsewhere/tooling/"
both "$work/elsewhere" "$work/again"
(cd "$work/again" && sha256sum --check --quiet "$release/guest/SHA256SUMS")
echo 'a second build in another folder: the same bytes'

version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$root/packages/cli/package.json")
emulator=$toolchain/root/usr/bin/qemu-aarch64-static
for program in cove-guest cove-layers cove-boot; do
  for run in "$release/guest/linux-x64/$program" "$emulator $release/guest/linux-arm64/$program"; do
    said=$($run version)
    [ "$said" = "$version" ] || { echo "error: $run says it is $said, not $version" >&2; exit 1; }
  done
done
tests() { # sources
  "$toolchain/rustc" --edition 2021 --test --crate-name tests -A dead_code -C debug-assertions \
    -C target-feature=+crt-static --target aarch64-unknown-linux-gnu -C linker="$toolchain/aarch64-cc" \
    -o "$work/$1-tests" "$root/$1/src/main.rs"
}
tests guest
# The emulator knows no openat2, so that what the launcher does with it cannot be tried there: removal of trees, mount
# points in roots of images.
TMPDIR=$work "$emulator" "$work/guest-tests" --quiet --skip launcher::remove --skip launcher::mount_points
tests layers
TMPDIR=$work "$emulator" "$work/layers-tests" --quiet
tests boot
# For the emulator a process that shares memory is one that has a copy of it.
TMPDIR=$work "$emulator" "$work/boot-tests" --quiet --skip shares_its_memory
