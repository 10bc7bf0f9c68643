#!/bin/sh
# Everything but the data: Python, PostgreSQL with PostGIS, a Chinese font, front end, documentation. Argument: run or dev.
. "$(dirname -- "$0")/common.sh"
one_at_a_time
beside_node
scripts/python.sh "${1:-run}"
scripts/postgres.sh
scripts/fonts.sh
node_is_there
scripts/docs.sh
