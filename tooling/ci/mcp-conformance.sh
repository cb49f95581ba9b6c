#!/usr/bin/env bash
# Runs the conformance suite of the Model Context Protocol against the real door, for both revisions that it speaks.
# Fails when a scenario fails that expected-failures.yaml does not name, and when one passes that it names.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/node_modules/.bin:$PATH"
suite=$PWD/tooling/mcp-conformance

if ! cmp -s "$suite/package-lock.json" "$suite/node_modules/.installed-lockfile"; then
  npm ci --prefix "$suite" --ignore-scripts --no-audit --no-fund --loglevel=error
  cp "$suite/package-lock.json" "$suite/node_modules/.installed-lockfile"
fi

results=$(mktemp -d "${TMPDIR:-/tmp}/cove-test-mcp-XXXXXX")
trap 'rm -rf "$results"' EXIT

# The server ends when its input does, whatever happens here.
coproc SERVER { node "$suite/serve.ts"; }
read -r url <&"${SERVER[0]}"

status=0
for revision in 2025-11-25 2026-07-28; do
  log=$results/$revision.log
  if node "$suite/node_modules/.bin/conformance" server --url "$url" --requirements "$revision" \
    --expected-failures "$suite/expected-failures.yaml" -o "$results/$revision" >"$log" 2>&1; then
    # Scenarios of extensions and those that are younger than the revision run too, and count for nothing.
    printf '%s: all that is required passed; ' "$revision"
    grep '^Total' "$log" | sed 's/Total/with what is not required/'
  else
    status=1
    printf '%s: FAILED\n' "$revision"
    tail -n 120 "$log"
  fi
done
exit "$status"
