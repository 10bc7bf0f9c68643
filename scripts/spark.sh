#!/bin/sh
# Run the tests of the Spark engine in an environment of its own: .venv plus PySpark, which is too
# large for everybody. Needs Java 17. WUSETU_PYSPARK: another source than the package index.
. "$(dirname -- "$0")/common.sh"
one_at_a_time
scripts/python.sh dev
scripts/postgres.sh
spark=$ROOT/.venv-spark
site() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
[ -x "$spark/bin/python" ] || "$VENV/bin/python" -m venv "$spark"
# everything else comes from the project's own environment
{ site "$VENV/bin/python"; echo "$ROOT"; } >"$(site "$spark/bin/python")/wusetu.pth"
if ! "$spark/bin/python" -c 'import pyspark' 2>/dev/null; then
  say "Installing PySpark into .venv-spark"
  quietly pip-spark "$spark/bin/python" -m pip install "${WUSETU_PYSPARK:-pyspark>=4}"
fi
one_at_a_time_over
exec "$spark/bin/python" -m pytest -q -m spark "$@" tests/app/feeds </dev/null
