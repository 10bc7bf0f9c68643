#!/bin/sh
# What the container runs: schema, sample (WUSETU_SAMPLE=0: none), server.
. "$(dirname -- "$0")/common.sh"
: "${WUSETU_DATABASE_URL:?the container needs a database}"
"$VENV/bin/wusetu" db migrate
if [ "${WUSETU_SAMPLE:-1}" = 1 ]; then
  "$VENV/bin/wusetu" sample load hangzhou alliance
fi
exec "$VENV/bin/wusetu" serve --no-migrate --host 0.0.0.0 --port 8000
