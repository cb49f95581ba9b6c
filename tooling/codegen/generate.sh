#!/bin/sh
# Makes anew whatever is made from the sources: the protocol code in packages/{api,containerd-engine}/src/gen, OpenAPI,
# and the pages in docs/reference. The generators are kept out of the root install.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export PATH="$root/node_modules/.bin:$PATH"
[ -x "$here/node_modules/.bin/typedoc" ] || (cd "$here" && npm ci --no-progress >&2)
# The checkout's own tools and Node stay in front: the generators bring others of the same name.
bin=$here/node_modules/.bin
image=$(mktemp --suffix=.binpb)
trap 'rm -f "$image"' EXIT

for room in containerd-engine api; do
  cd "$root/packages/$room"
  "$bin/buf" lint
  rm -rf src/gen
  PATH="$bin:$PATH" "$bin/buf" generate
done
"$bin/buf" build -o "$image"
node --disable-warning=ExperimentalWarning "$here/reference/main.ts" "$image"

cd "$here"
"$bin/typedoc" --options typedoc.json
mv "$root/build/sdk-reference/sdk.md" "$root/docs/reference/sdk.md"

cd "$root"
node --disable-warning=ExperimentalWarning tooling/docs/cli-reference.ts
oxfmt docs/reference/cove.schema.json docs/reference/cove.template.schema.json >/dev/null
