#!/bin/sh
# Set everything up, load the sample, serve until Ctrl-C. Safe to repeat.
. "$(dirname -- "$0")/common.sh"
one_at_a_time
beside_node
scripts/python.sh run
wusetu=$VENV/bin/wusetu

# Before the long part: is the port ours to take? (4: our own server has it already)
code=0
"$wusetu" serve --check || code=$?
[ "$code" != 4 ] || exit 0
[ "$code" = 0 ] || exit "$code"

scripts/postgres.sh
scripts/fonts.sh
node_is_there
scripts/docs.sh & # looked up at each request: it may be ready later

# The city, and the border of four provinces; the set-up ends, and its lock, when they are loaded.
exec "$wusetu" serve --sample hangzhou --sample alliance ${WUSETU_SETUP_LOCKED:+--lock 9}
