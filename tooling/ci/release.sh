#!/bin/bash
# Builds the whole release, each part twice to see that it comes out the same, and tries it as a user would. Where
# Debian's packages cannot be fetched, the package is tried with the guest program of this machine only.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/node_modules/.bin:$PATH"
release=build/release
rm -f "$release"/*.tgz "$release"/SHA256SUMS

if tooling/release/debian-toolchain.sh; then
  tooling/release/build-guests.sh --check
  node tooling/release/pack.ts
  cp "$release/SHA256SUMS" "$release/SHA256SUMS.first"
  node tooling/release/pack.ts >/dev/null
  cmp "$release/SHA256SUMS.first" "$release/SHA256SUMS"
  rm "$release/SHA256SUMS.first"
  (cd "$release" && sha256sum --check --quiet SHA256SUMS)
  echo 'packed twice: the same bytes'
  RELEASE_TARBALL=$(ls "$PWD/$release"/cove-sandboxes-*.tgz)
  export RELEASE_TARBALL
else
  echo "skipped: guest programs for both machines, because Debian's packages cannot be fetched here"
fi
vitest run tests/release-package.system.test.ts
