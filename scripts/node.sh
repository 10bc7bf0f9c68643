#!/bin/sh
# Have Node.js and the front end's packages. Argument "build": also build it when it changed; "check": lint and test
# it; "there": only say whether the system's Node will do.
. "$(dirname -- "$0")/common.sh"
[ -f frontend/package.json ] || exit 0

enough() { # vite wants 20.19 or newer
  "$1" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null
}
there() { have node && have npm && enough node; }
if [ "${1:-}" = there ]; then there && exit 0; exit 1; fi
if ! there; then
  PATH=$VENV/bin:$PATH
  mark=$(sha256sum <requirements-node.lock | cut -c 1-64)
  if [ "$(cat "$VENV/.requirements-node.lock" 2>/dev/null)" != "$mark" ]; then
    say "Installing Node.js into $VENV"
    quietly pip-node "$VENV/bin/python" -m pip install --require-hashes --no-deps -r requirements-node.lock
    echo "$mark" >"$VENV/.requirements-node.lock"
  fi
fi

cd frontend
mark=$(node --version)$(fingerprint package.json package-lock.json)
if [ "$(cat node_modules/.wusetu 2>/dev/null)" != "$mark" ]; then
  say "Installing the front end's packages"
  quietly npm-ci npm ci --no-audit --no-fund
  echo "$mark" >node_modules/.wusetu
fi
case ${1:-} in
build)
  # shellcheck disable=SC2046 # names without spaces
  mark=$(fingerprint $(find . -mindepth 1 -maxdepth 1 ! -name node_modules ! -name dist ! -name coverage ! -name '*.tsbuildinfo'))
  if [ ! -d dist ] || [ "$(cat node_modules/.wusetu-built 2>/dev/null)" != "$mark" ]; then
    say "Building the front end"
    quietly npm-build npm run --silent build
    echo "$mark" >node_modules/.wusetu-built
  fi
  ;;
check) npm run --silent check && npm test --silent ;;
esac
