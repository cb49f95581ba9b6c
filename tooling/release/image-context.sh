#!/bin/bash
# Fills build/release/image, which the container image is built from, after npm run release: the Containerfile, the
# package, and for each machine the Node.js that package-lock.json pins, compared with the checksum that stands there.
# With a machine (amd64, arm64) only for that one.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd -P)
release=$root/build/release
image=$release/image
rm -rf "$image"
mkdir -p "$image"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

package=$(ls "$release"/cove-sandboxes-*.tgz)
cp "$package" "$image/cove-sandboxes.tgz"
cp "$root/Containerfile" "$image/"
for machine in ${1:-amd64 arm64}; do
  name=node-linux-${machine/amd64/x64}
  pinned() { # field of the lockfile
    node -p 'require(process.argv[1]).packages[`node_modules/${process.argv[2]}`][process.argv[3]]' \
      "$root/package-lock.json" "$name" "$1"
  }
  (cd "$work" && npm pack --silent --ignore-scripts "$name@$(pinned version)" >/dev/null)
  found=sha512-$(openssl dgst -sha512 -binary "$work/$name"-*.tgz | base64 --wrap=0)
  [ "$found" = "$(pinned integrity)" ] || { echo "error: $name is not what package-lock.json says" >&2; exit 1; }
  tar -xzf "$work/$name"-*.tgz -C "$work" package/bin/node
  mv "$work/package/bin/node" "$image/node-$machine"
done
