#!/bin/sh
# Makes what is generated anew and compares it with what is committed.
set -eu
cd "$(dirname "$0")/../.."
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
mkdir -p docs/reference
for room in api containerd-engine; do cp -R "packages/$room/src/gen" "$before/$room"; done
cp -R docs/reference "$before/reference"
tooling/codegen/generate.sh
stale=''
for room in api containerd-engine; do diff -r "$before/$room" "packages/$room/src/gen" || stale=yes; done
diff -r "$before/reference" docs/reference || stale=yes
if [ -n "$stale" ]; then
  echo "fix: run npm run generate and commit packages/*/src/gen and docs/reference" >&2
  exit 1
fi
