#!/bin/sh
# Build the documentation when its sources changed. The map is served without it too, so this never fails.
. "$(dirname -- "$0")/common.sh"
"$VENV/bin/wusetu" docs build >/dev/null || say "The documentation was not built; /docs says how to do it later"
