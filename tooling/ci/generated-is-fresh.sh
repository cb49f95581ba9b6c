#!/bin/sh
# Generates the protocol code anew beside the committed one and compares.
set -eu
cd "$(dirname "$0")/../.."
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp -R packages/api/src/gen "$before/gen"
tooling/codegen/generate.sh
if ! diff -r "$before/gen" packages/api/src/gen; then
  echo "fix: run npm run generate and commit packages/api/src/gen" >&2
  exit 1
fi
