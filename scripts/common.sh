# shellcheck shell=sh
# Sourced by every script here. POSIX sh: a bare Debian or Ubuntu has no more.
#
# Environment: WUSETU_DATA_DIR (data folder, default .wusetu), WUSETU_VENV (default .venv),
# WUSETU_UNPACK=1 (unpack packages into the data folder even as root), WUSETU_DATABASE_URL,
# WUSETU_PG_BIN, WUSETU_PYTHON.
set -eu

ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$ROOT"
DATA=${WUSETU_DATA_DIR:-$ROOT/.wusetu}
VENV=${WUSETU_VENV:-$ROOT/.venv}
DEB=$DATA/deb
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 NPM_CONFIG_UPDATE_NOTIFIER=false

# Folders of the libraries unpacked into the data folder.
unpacked_libraries() {
  ul_found=
  for ul_folder in "$DEB"/usr/lib/*-linux-gnu* "$DEB"/lib/*-linux-gnu* "$DEB"/usr/lib/*-linux-gnu*/pulseaudio; do
    if [ -d "$ul_folder" ]; then ul_found=${ul_found:+$ul_found:}$ul_folder; fi
  done
  printf '%s' "$ul_found"
}
# A Python unpacked there needs them by name.
if [ -e "$DEB/.python" ]; then LD_LIBRARY_PATH=$(unpacked_libraries); export LD_LIBRARY_PATH; fi

say() { printf '%s\n' "-- $*"; }
die() { printf '%s\n' "wusetu: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Run a command quietly; show what it said only when it fails. Logs live in the data folder.
quietly() {
  q_log=$DATA/log/$1.log; shift
  mkdir -p "$DATA/log"
  "$@" >"$q_log" 2>&1 </dev/null || {
    tail -n 40 "$q_log" >&2
    die "failed: $* (whole log: $q_log)"
  }
}

# One number for the contents of the named files and folders.
fingerprint() {
  find "$@" -type f -exec sha256sum {} + 2>/dev/null | LC_ALL=C sort -k 2 | sha256sum | cut -c 1-64
}

# Only one set-up at a time in one project folder.
one_at_a_time() {
  mkdir -p "$DATA"
  if [ "$(id -u)" = 0 ] && [ ! -d "$DATA/log" ]; then chmod 755 "$DATA"; fi
  if have flock && [ -z "${WUSETU_SETUP_LOCKED:-}" ]; then
    export WUSETU_SETUP_LOCKED=1
    exec 9>"$DATA/setup.lock"
    flock -w 900 9 || die "another set-up has been running in $ROOT for 15 minutes"
  fi
}
one_at_a_time_over() { exec 9>&-; unset WUSETU_SETUP_LOCKED; }

# The front end is built beside what follows, where there is a Node already (else it comes with Python's packages).
NODE=
beside_node() {
  if scripts/node.sh there; then
    scripts/node.sh build &
    NODE=$!
    trap 'kill "$NODE" 2>/dev/null' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
  fi
}
node_is_there() {
  if [ -n "$NODE" ]; then
    wait "$NODE" || exit
    trap - EXIT INT TERM HUP
  else scripts/node.sh build; fi
}

find_chromium() {
  for fc_name in ${WUSETU_CHROMIUM:-} chromium google-chrome-stable google-chrome "$DEB/chromium"; do
    if have "$fc_name"; then command -v "$fc_name"; return 0; fi
  done
  return 1
}
