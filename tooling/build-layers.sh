#!/bin/sh
# Builds layers/ into build/cove-layers, the program for layers of images; an argument names another result.
exec "$(dirname "$0")/build-program.sh" layers cove-layers "$@"
