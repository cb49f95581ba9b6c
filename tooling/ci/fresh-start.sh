#!/bin/bash
# The README's first command in this clone: from nothing to ready within 120 s, then down again.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=$(mktemp -d)
trap './cove down --data-dir "$data" >/dev/null 2>&1 || true; rm -rf "$data"' EXIT
start=$(date +%s%N)
./cove up --detach --yes --data-dir "$data" --listen 127.0.0.1:0
took=$((($(date +%s%N) - start) / 1000000))
echo "fresh clone to ready: $took ms"
export COVE_DATA_DIR=$data
[ "$(./cove run python -c 'print(6*7)')" = 42 ]
./cove down
[ "$took" -lt 120000 ]
