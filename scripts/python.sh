#!/bin/sh
# Have .venv with the locked dependencies. Argument: run (default) or dev (also tests and tools).
. "$(dirname -- "$0")/common.sh"
. "$ROOT/scripts/packages.sh"
one_at_a_time

lock=requirements.lock
if [ "${1:-run}" = dev ]; then lock=requirements-dev.lock; fi

usable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
find_python() {
  for fp_name in ${WUSETU_PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 "$DEB"/usr/bin/python3.1?; do
    if have "$fp_name" && usable "$fp_name"; then command -v "$fp_name"; return 0; fi
  done
  return 1
}

get_python() {
  need_apt "Python 3.11 or newer"
  fresh_lists
  # the release's own Python, or a newer one beside it
  for gp_name in python3 python3.14 python3.13 python3.12 python3.11; do
    gp_version=$(apt_cmd apt-cache policy "$gp_name" | sed -n 's/^ *Candidate: \([0-9]*\.[0-9]*\).*/\1/p')
    case $gp_version in 3.1[1-9]) break ;; esac
    gp_version=
  done
  [ -n "$gp_version" ] || die "Python 3.11 or newer is needed and this release has none; install one and name it with WUSETU_PYTHON"
  if may_install; then apt_install python "$gp_name" "$gp_name-venv"
  else
    unpack python "$gp_name" "python$gp_version-venv"
    : >"$DEB/.python"
    LD_LIBRARY_PATH=$(unpacked_libraries); export LD_LIBRARY_PATH
  fi
}

make_venv() { # PYTHON
  rm -rf "$VENV"
  # (an unpacked ensurepip would look for its wheels in /usr)
  if [ ! -e "$DEB/.python" ] && "$1" -c 'import ensurepip, venv' 2>/dev/null; then
    quietly venv "$1" -m venv "$VENV"
    return
  fi
  # Debian keeps pip's wheel in a package of its own
  mv_version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if may_install && [ "$("$1" -c 'import sys; print(sys.base_prefix)')" = /usr ]; then
    apt_install venv "python$mv_version-venv"
    quietly venv "$1" -m venv "$VENV"
    return
  fi
  wheel() { ls /usr/share/python-wheels/pip-*.whl "$DEB"/usr/share/python-wheels/pip-*.whl 2>/dev/null | tail -n 1; }
  [ -n "$(wheel)" ] || { need_apt pip; ALONE=python3-pip-whl unpack pip; }
  quietly venv "$1" -m venv --without-pip "$VENV"
  quietly venv "$VENV/bin/python" "$(wheel)/pip" install --no-index --no-deps "$(wheel)"
}

whole() { [ -x "$VENV/bin/python" ] && usable "$VENV/bin/python" && ls -d "$VENV"/lib/python3*/site-packages/pip >/dev/null 2>&1; }
if ! whole; then
  python=$(find_python) || { get_python; python=$(find_python) || die "Python was installed, but does not run"; }
  say "Making $VENV with $("$python" -V)"
  make_venv "$python"
fi

# A stamp per lock: installed again only when the lock changes.
mark=$(cat "$lock" | sha256sum | cut -c 1-64)
stamp=$VENV/.$lock
if [ "$(cat "$stamp" 2>/dev/null)" != "$mark" ]; then
  say "Installing the Python dependencies of $lock"
  rm -f "$VENV"/.requirements*.lock
  quietly pip "$VENV/bin/python" -m pip install --require-hashes --no-deps -r "$lock"
  echo "$mark" >"$stamp"
  # the development lock holds everything the other one does, in the same versions
  if [ "$lock" = requirements-dev.lock ]; then sha256sum <requirements.lock | cut -c 1-64 >"$VENV/.requirements.lock"; fi
fi
mark=$(sha256sum <pyproject.toml | cut -c 1-64)
if [ "$(cat "$VENV/.project" 2>/dev/null)" != "$mark $ROOT" ]; then
  say "Installing the project itself"
  quietly pip-project "$VENV/bin/python" -m pip install --no-deps --no-build-isolation --no-index -e .
  echo "$mark $ROOT" >"$VENV/.project"
fi

# Where Python was unpacked, the commands must find its libraries without our scripts too.
if [ -e "$DEB/.python" ]; then
  for script in "$VENV"/bin/*; do
    if [ "$(head -c 2 "$script")" = '#!' ] && head -n 1 "$script" | grep -q "^#!$VENV/bin/python"; then
      sed -i "1c #!/bin/sh\n'''exec' env 'LD_LIBRARY_PATH=$LD_LIBRARY_PATH' '$VENV/bin/python' \"\$0\" \"\$@\"\n' '''" "$script"
    fi
  done
fi
