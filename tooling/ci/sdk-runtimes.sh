#!/bin/sh
# Installs the other JavaScript runtimes that the client is tried on. They are packages with a binary and no script.
set -eu
cd "$(dirname "$0")/../sdk-runtimes"
npm ci --ignore-scripts --no-audit --no-fund
