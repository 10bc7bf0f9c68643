#!/bin/sh
# Format everything.
. "$(dirname -- "$0")/common.sh"
scripts/python.sh dev
"$VENV/bin/ruff" check --fix-only --quiet .
"$VENV/bin/ruff" format .
if [ -f frontend/package.json ]; then
  scripts/node.sh
  PATH=$PATH:$VENV/bin npm --prefix frontend run --silent fix
fi
