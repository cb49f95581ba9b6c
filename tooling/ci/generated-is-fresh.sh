#!/bin/sh
# Makes what is generated anew and compares it with what is committed.
set -eu
cd "$(dirname "$0")/../.."
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
mkdir -p docs/reference
cp -R packages/api/src/gen "$before/gen"
cp -R docs/reference "$before/reference"
tooling/codegen/generate.sh
if ! diff -r "$before/gen" packages/api/src/gen || ! diff -r "$before/reference" docs/reference; then
  echo "fix: run npm run generate and commit packages/api/src/gen and docs/reference" >&2
  exit 1
fi
