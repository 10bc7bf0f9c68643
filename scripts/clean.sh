#!/bin/sh
# Remove what was installed and built. The data folder (.wusetu: cluster, archives) stays.
. "$(dirname -- "$0")/common.sh"
if [ -x "$VENV/bin/wusetu" ] && [ -z "${WUSETU_DATABASE_URL:-}" ] && [ -d "$DATA/pg" ]; then "$VENV/bin/wusetu" db stop --if-unused || true; fi
rm -rf "$VENV" frontend/node_modules frontend/dist build ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
find . -name __pycache__ -type d -prune -exec rm -rf {} +
say "Clean. Your data is still in $DATA; remove that folder to begin from nothing."
