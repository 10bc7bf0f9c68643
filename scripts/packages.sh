# shellcheck shell=sh
# Sourced: distribution packages, installed by root or unpacked into $DEB by anyone else.

may_install() { [ "$(id -u)" = 0 ] && [ -z "${WUSETU_UNPACK:-}" ]; }

need_apt() {
  have apt-get && have dpkg-deb || die "$1 is missing, and this is no Debian or Ubuntu: install it with your package manager"
}

# apt with lists of our own: works without root, and where /var/lib/apt/lists is empty.
own_apt() {
  mkdir -p "$DEB/apt/state/lists/partial" "$DEB/apt/cache/archives/partial"
  oa_tool=$1; shift
  "$oa_tool" -q -o Dir::State="$DEB/apt/state" -o Dir::State::status=/var/lib/dpkg/status \
    -o Dir::Cache="$DEB/apt/cache" -o Debug::NoLocking=true -o APT::Sandbox::User=root \
    -o APT::Install-Recommends=false -o APT::Update::Post-Invoke-Success= \
    -o APT::Update::Post-Invoke= -o DPkg::Post-Invoke= "$@"
}

apt_cmd() { if may_install; then apt_tool=$1; shift; "$apt_tool" -q "$@"; else own_apt "$@"; fi; }

# Fetch the lists when something is to be installed, once an hour.
fresh_lists() {
  fl_stamp=$DATA/log/lists-$(id -u)
  [ -z "$(find "$fl_stamp" -mmin -60 2>/dev/null)" ] || return 0
  say "Fetching the package lists"
  quietly apt-update apt_cmd apt-get update
  : >"$fl_stamp"
}

# apt_install NAME PACKAGE...: as root, with apt.
apt_install() {
  ai_what=$1; shift
  fresh_lists
  say "Installing $ai_what"
  quietly "apt-install-$ai_what" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
    -o Dpkg::Use-Pty=0 install --no-install-recommends "$@"
}

# unpack NAME PACKAGE...: without root, these packages and what they need beside what is
# installed, into $DEB. DENY: extended regular expression of packages to leave out; ALONE: further
# packages, taken without what they need.
unpack() {
  up_what=$1; shift
  fresh_lists
  say "Unpacking $up_what into $DEB"
  mkdir -p "$DATA/log"
  up_list=$(own_apt apt-get -s install --no-install-recommends "$@" 2>"$DATA/log/unpack-$up_what.log" |
    sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep -Evx "libc6|libc-bin|${DENY:-none}" || true)
  up_list="$up_list ${ALONE:-}"
  case $up_list in *[a-z]*) ;; *) cat "$DATA/log/unpack-$up_what.log" >&2; die "apt knows no way to get $up_what ($*)";; esac
  up_folder=$DEB/archives/$up_what
  rm -rf "$up_folder"; mkdir -p "$up_folder"
  # shellcheck disable=SC2086 # a list of names
  quietly "download-$up_what" download_into "$up_folder" $up_list
  for up_file in "$up_folder"/*.deb; do dpkg-deb -x "$up_file" "$DEB"; done
  rm -rf "$up_folder"
  : >"$DEB/.unpacked"
}

download_into() ( cd "$1"; shift; own_apt apt-get download "$@" )

# What these packages depend on directly.
needs_of() {
  own_apt apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances "$@" | sed -n 's/^ *|*\(Pre\)*Depends: \([^<>]*\)$/\2/p' | sort -u
}
