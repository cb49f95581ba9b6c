#!/bin/sh
# Makes packages/api/src/gen anew from the protobuf files. The generators are kept out of the root install.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export PATH="$root/node_modules/.bin:$PATH"
[ -x "$here/node_modules/.bin/buf" ] || (cd "$here" && npm ci --no-progress >&2)
export PATH="$here/node_modules/.bin:$PATH"
cd "$root/packages/api"
buf lint
rm -rf src/gen
buf generate
