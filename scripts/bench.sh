#!/bin/sh
# Run every benchmark: each prints ratios against its named peer, measured in one run.
# tipg pins other versions, so it has an environment of its own. BENCH="tiles" picks some.
. "$(dirname -- "$0")/common.sh"
scripts/setup.sh run
[ -x .venv-bench/bin/tipg ] || [ -d .venv-bench/lib ] || {
  "$VENV/bin/python" -m venv .venv-bench
  .venv-bench/bin/pip install -q tipg uvicorn uvloop httptools
}
# peers of the other benchmarks; geoarrow-pyarrow and geopandas are how SedonaDB takes and gives tables
.venv-bench/bin/python -c "import sedonadb, duckdb, geopandas, geoarrow.pyarrow, esda" 2>/dev/null ||
  .venv-bench/bin/pip install -q sedonadb duckdb geopandas geoarrow-pyarrow pyarrow esda
"$VENV/bin/wusetu" sample load
for name in ${BENCH:-operating_characteristics tiles import_memory ingest locate area gi scan border load audit}; do
  say "$name"
  "$VENV/bin/python" -m "benchmarks.$name"
done
