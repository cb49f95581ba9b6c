#!/bin/bash
# npm run release: everything that is published, in build/release. The tag's workflow runs this same script.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd -P)
cd "$root"
export PATH="$root/node_modules/.bin:$PATH"
rm -f build/release/*.tgz build/release/SHA256SUMS
tooling/release/build-guests.sh
node tooling/release/pack.ts
