#!/bin/sh
# Builds guest/ into build/cove-guest, and with it the other programs that a host needs, build/cove-layers and
# build/cove-boot. An argument names another result, of the guest program alone.
set -eu
tooling=$(dirname "$0")
"$tooling/build-program.sh" guest cove-guest "$@"
[ $# -gt 0 ] || "$tooling/build-layers.sh"
[ $# -gt 0 ] || "$tooling/build-boot.sh"
