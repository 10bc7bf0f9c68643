#!/bin/sh
# Everything but the data: Python, PostgreSQL with PostGIS, a Chinese font, front end, documentation. Argument: run or dev.
. "$(dirname -- "$0")/common.sh"
one_at_a_time
scripts/python.sh "${1:-run}"
scripts/postgres.sh
scripts/fonts.sh
scripts/node.sh build
scripts/docs.sh
