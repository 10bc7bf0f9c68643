#!/bin/sh
# Known vulnerabilities of the locked packages. Fails for those found; where nobody can be asked
# (no network, a registry without advisories) it says so and passes.
. "$(dirname -- "$0")/common.sh"
mkdir -p "$DATA/log"
failed=0

say "Python packages"
audit_venv=$ROOT/.venv-audit
if [ ! -x "$audit_venv/bin/pip-audit" ]; then
  "$VENV/bin/python" -m venv "$audit_venv" &&
    timeout 300 "$audit_venv/bin/pip" install -q pip-audit >"$DATA/log/audit-setup.log" 2>&1 || true
fi
if [ -x "$audit_venv/bin/pip-audit" ]; then
  for lock in requirements.lock requirements-dev.lock; do
    code=0
    timeout 300 "$audit_venv/bin/pip-audit" --disable-pip --require-hashes --progress-spinner off \
      --format json --requirement "$lock" >"$DATA/log/audit-$lock.json" 2>"$DATA/log/audit-$lock.log" || code=$?
    "$VENV/bin/python" scripts/audited.py python "$lock" "$code" "$DATA/log/audit-$lock.json" || failed=1
  done
else
  say "not checked: pip-audit cannot be installed here"
fi

say "Node.js packages"
if have npm; then
  code=0
  (cd frontend && timeout 120 npm audit --json) >"$DATA/log/audit-npm.json" 2>"$DATA/log/audit-npm.log" || code=$?
  "$VENV/bin/python" scripts/audited.py node frontend "$code" "$DATA/log/audit-npm.json" || failed=1
else
  say "not checked: there is no npm here (make setup)"
fi
exit "$failed"
