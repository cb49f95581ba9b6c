#!/bin/sh
# Installs the programs that tests use and a machine may not have, from the distribution's packages. A test whose
# program is missing is skipped and says so.
set -eu

missing=''
need() { # program, package
  command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need chromium chromium
need zsh zsh
need curl curl
need fish fish
need dockerd docker.io
need openssl openssl
need containerd containerd
need runc runc
need nix nix-bin
need busybox busybox-static
need crun crun
need slirp4netns slirp4netns
need nft nftables
need ip iproute2
need mmdebstrap mmdebstrap
need mkfs.erofs erofs-utils
need zstd zstd
need umoci umoci
need skopeo skopeo
need docker-registry docker-registry
need qemu-system-x86_64 qemu-system-x86
# Kernels are built with these, besides a compiler.
need make make
need flex flex
need bison bison
need bc bc
need xz xz-utils
need lz4 lz4
need cpio cpio
[ -e /usr/include/libelf.h ] || missing="$missing libelf-dev"

# Sandboxes of the template `host` see the programs of the distribution, not those of whoever runs the tests.
shown() { # package, command
  env -i PATH=/usr/local/bin:/usr/bin:/bin sh -c "$2" >/dev/null 2>&1 || missing="$missing $1"
}
shown python3-pip 'python3 -m pip --version'
shown nodejs 'node --version'
shown npm 'npm --version'

"$(dirname "$0")/gvisor.sh"

[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "not installed, so that some tests are skipped:$missing" >&2
  exit 0
fi
[ -n "$(ls /var/lib/apt/lists/*Packages* 2>/dev/null)" ] || apt-get update -qq
# shellcheck disable=SC2086 -- names of packages, without blanks in them
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
