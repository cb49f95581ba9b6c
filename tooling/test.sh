#!/bin/sh
# The whole test run: sets itself up like `./cove up` does, then hands over to tooling/test.ts.
# Arguments are passed to vitest, to run one room only: npm test -- packages/store
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"
./cove setup --yes
PATH="$root/node_modules/.bin:$PATH" exec node --disable-warning=ExperimentalWarning tooling/test.ts "$@"
