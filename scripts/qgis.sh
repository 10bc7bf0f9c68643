#!/bin/sh
# Look at our exports, tiles and OGC services with QGIS, without a window. QGIS comes from the
# distribution (as root; 200 MB of packages). Not part of `make test`. WUSETU_QGIS: a Python that has `qgis`.
. "$(dirname -- "$0")/common.sh"
. "$ROOT/scripts/packages.sh"
one_at_a_time
scripts/python.sh dev
scripts/postgres.sh
has_qgis() { "$1" -c 'import qgis.core, osgeo.gdal' >/dev/null 2>&1; }
python=${WUSETU_QGIS:-/usr/bin/python3}
if ! has_qgis "$python" && [ -z "${WUSETU_QGIS:-}" ] && may_install && have apt-get; then
  (apt_install qgis-python python3-qgis qgis-providers) || true
fi
if ! has_qgis "$python"; then
  say "No QGIS: its tests are skipped (as root \`make test-qgis\` installs it; or set WUSETU_QGIS to a Python that has it)"
  exit 0
fi
one_at_a_time_over
WUSETU_QGIS=$python exec "$VENV/bin/pytest" -q -rs -m qgis "$@" tests/clients </dev/null
