#!/bin/sh
# Run every benchmark: each prints ratios against its named peer, measured in one run.
. "$(dirname -- "$0")/common.sh"
scripts/python.sh dev
scripts/postgres.sh
for file in benchmarks/bench_*.py; do
  [ -f "$file" ] || die "there are no benchmarks yet"
  say "$file"
  "$VENV/bin/python" "$file"
done
