#!/bin/sh
# Builds boot/ into build/cove-boot, the first program of virtual machines; an argument names another result.
exec "$(dirname "$0")/build-program.sh" boot cove-boot "$@"
