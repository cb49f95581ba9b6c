#!/bin/sh
# Builds the kernel that tests boot virtual machines with, once, into the folder that every data directory shares; one
# that is there from the same source, configuration and compiler is taken as it is. Where none can be built, the
# distribution's is taken; where there is none either, the tests of virtual machines are skipped and say so.
set -eu
cd "$(dirname "$0")/../.."

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  [ -n "$(ls /var/lib/apt/lists/*Packages* 2>/dev/null)" ] || apt-get update -qq
fi
if ./cove kernel build || ./cove kernel fetch; then
  ./cove kernel ls
else
  echo 'there is no kernel, so that the tests of virtual machines are skipped' >&2
fi
