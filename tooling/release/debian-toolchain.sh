#!/bin/bash
# Unpacks the compilers of a release beside the system: Debian 12's Rust 1.63, linker and C library for both machines,
# and an emulator to try arm64 with. Package lists and architectures of this machine stay as they are. Prints nothing;
# the toolchain is then in build/release/toolchain. Needs nothing but an x86-64 Debian or Ubuntu with apt.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd -P)
folder=$root/build/release/toolchain
[ -e "$folder/complete" ] && exit 0

if [ "$(uname -m)" != x86_64 ] || ! command -v apt-get >/dev/null; then
  echo "error: the guest programs of a release are built on x86-64 with Debian's packages" >&2
  echo "fix: run this in a debian:12 container" >&2
  exit 1
fi

mkdir -p "$root/build/release"
work=$(mktemp -d "$root/build/release/toolchain.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work"/apt/{lists,cache/archives}/partial "$work/packages" "$work/root"
touch "$work/apt/status"
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [arch=amd64,arm64 signed-by=$keyring] $mirror bookworm main" >"$work/apt/sources.list"
cat >"$work/apt/apt.conf" <<END
APT::Architecture "amd64";
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "root";
Dir::State "$work/apt";
Dir::State::lists "$work/apt/lists";
Dir::State::status "$work/apt/status";
Dir::Cache "$work/apt/cache";
Dir::Etc::sourcelist "$work/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
END
export APT_CONFIG=$work/apt/apt.conf
apt-get update -qq
(
  cd "$work/packages"
  apt-get download -qq rustc:amd64=1.63.* libstd-rust-1.63:amd64 libstd-rust-dev:amd64=1.63.* \
    libstd-rust-dev:arm64=1.63.* libllvm14:amd64 gcc-12-aarch64-linux-gnu:amd64 binutils-aarch64-linux-gnu:amd64 \
    libc6-dev-arm64-cross libgcc-12-dev-arm64-cross gcc-12:amd64 binutils:amd64 binutils-x86-64-linux-gnu:amd64 \
    libbinutils:amd64 libctf0:amd64 libctf-nobfd0:amd64 libjansson4:amd64 libc6-dev:amd64 libgcc-12-dev:amd64 \
    qemu-user-static:amd64 base-files:amd64
)
for package in "$work"/packages/*.deb; do
  wanted=.
  case $package in */qemu-user-static_*) wanted=./usr/bin/qemu-aarch64-static ;; esac
  dpkg-deb --fsys-tarfile "$package" | tar -x -C "$work/root" --exclude='./usr/share/man/*' "$wanted"
  dpkg-deb --show --showformat='${Package} ${Architecture} ${Version}\n' "$package"
done >"$work/versions.txt"

# The compilers look for start files and libraries where they would be installed; here they only link.
cat >"$work/x86_64-cc" <<'END'
#!/bin/sh
root=$(cd "$(dirname "$0")" && pwd)/root
exec "$root/usr/bin/x86_64-linux-gnu-gcc-12" "-B$root/usr/bin/" "-B$root/usr/lib/x86_64-linux-gnu/" \
  "-L$root/usr/lib/x86_64-linux-gnu" "$@"
END
cat >"$work/aarch64-cc" <<'END'
#!/bin/sh
root=$(cd "$(dirname "$0")" && pwd)/root
exec "$root/usr/bin/aarch64-linux-gnu-gcc-12" "-B$root/usr/aarch64-linux-gnu/lib/" "$@"
END
cat >"$work/rustc" <<'END'
#!/bin/sh
root=$(cd "$(dirname "$0")" && pwd)/root
LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" exec "$root/usr/bin/rustc" "$@"
END
chmod 755 "$work/x86_64-cc" "$work/aarch64-cc" "$work/rustc"
rm -rf "$work/apt" "$work/packages"
touch "$work/complete"
rm -rf "$folder"
mv "$work" "$folder"
