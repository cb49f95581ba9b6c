#!/bin/bash
# npm run release:version: gives every package the next version, the same for all, as the changesets in .changeset ask
# for, writes their section of CHANGELOG.md, and removes them. Commit what it changed, then tag it `v<version>`.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd -P)
cd "$root"
export PATH="$root/node_modules/.bin:$PATH"
tools=$root/tooling/release
[ -x "$tools/node_modules/.bin/changeset" ] || (cd "$tools" && npm ci --no-progress >&2)
version() { sed -n 's/^  "version": "\(.*\)",$/\1/p' packages/cli/package.json; }
before=$(version)
changes=$(mktemp)
trap 'rm -f "$changes"' EXIT
node --input-type=module -e '
  const { readChangesets } = await import(`${process.argv[1]}/changelog.ts`)
  process.stdout.write(JSON.stringify(readChangesets(process.argv[2])))' "$tools" "$root" >"$changes"
if [ "$(cat "$changes")" = '[]' ]; then
  echo "error: there are no changesets in .changeset, so nothing to release" >&2
  echo "fix: describe what has changed for users in .changeset/<name>.md" >&2
  exit 1
fi
"$tools/node_modules/.bin/changeset" version
after=$(version)
for manifest in packages/*/package.json bench/package.json; do
  grep -q "^  \"version\": \"$after\",$" "$manifest" && continue
  echo "error: $manifest does not have the version $after" >&2
  exit 1
done
sed -i "s/^pub const VERSION: &str = \"$before\";$/pub const VERSION: \&str = \"$after\";/" guest/src/main.rs
grep -q "VERSION: &str = \"$after\"" guest/src/main.rs
sed -i "s/\"@cove\/sdk\": \"$before\"/\"@cove\/sdk\": \"$after\"/" package.json
node "$tools/changelog.ts" "$root" "$after" "$(date -u +%F)" "$changes"
npm install --package-lock-only --no-progress >&2
npm run --silent generate
echo "$before -> $after"
