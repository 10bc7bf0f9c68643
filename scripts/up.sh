#!/bin/sh
# Set everything up, load the sample, serve until Ctrl-C. Safe to repeat.
. "$(dirname -- "$0")/common.sh"
one_at_a_time
scripts/python.sh run
wusetu=$VENV/bin/wusetu

# Before the long part: is the port ours to take? (4: our own server has it already)
code=0
"$wusetu" serve --check || code=$?
[ "$code" != 4 ] || exit 0
[ "$code" = 0 ] || exit "$code"

scripts/postgres.sh
scripts/fonts.sh
scripts/node.sh build
scripts/docs.sh

# Ctrl-C from here to the server must not leave the cluster behind.
leave() { trap '' INT TERM HUP; [ -n "${WUSETU_DATABASE_URL:-}" ] || "$wusetu" db stop --if-unused; exit 130; }
trap leave INT TERM HUP
fail() { c=$?; [ -n "${WUSETU_DATABASE_URL:-}" ] || "$wusetu" db stop --if-unused; exit "$c"; }
if [ -z "${WUSETU_DATABASE_URL:-}" ]; then "$wusetu" db start --migrate || fail
else "$wusetu" db migrate || fail; fi
"$wusetu" sample load hangzhou alliance || fail   # the city, and the border of four provinces
one_at_a_time_over
trap - INT TERM HUP
exec "$wusetu" serve --no-migrate
