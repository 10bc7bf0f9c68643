#!/bin/sh
# Have the programs of PostgreSQL with PostGIS: the system's, or unpacked into the data folder.
. "$(dirname -- "$0")/common.sh"
. "$ROOT/scripts/packages.sh"

[ -z "${WUSETU_DATABASE_URL:-}" ] || exit 0 # a server of the user's own
[ -z "${WUSETU_PG_BIN:-}" ] || exit 0       # checked where it is used

# The major version to have: any, or the one the data folder is of.
wanted='*'
if [ -r "$DATA/pg/PG_VERSION" ]; then wanted=$(cat "$DATA/pg/PG_VERSION"); fi

there() { # PREFIX: are server and PostGIS there, 15 or newer?
  # shellcheck disable=SC2231 # $wanted may be a pattern
  for th_bin in "$1"/usr/lib/postgresql/$wanted/bin/initdb; do
    [ -x "$th_bin" ] || continue
    th_major=$(basename "$(dirname "$(dirname "$th_bin")")")
    for th_control in "$1/usr/share/postgresql/$th_major/extension"/postgis*.control; do
      [ -e "$th_control" ] && [ "$th_major" -ge 15 ] && return 0
    done
  done
  return 1
}

may_install || [ -e /usr/share/zoneinfo/UTC ] ||
  die "PostgreSQL reads the system's time zones, and the package tzdata is not installed: ask the administrator for it"
if [ -z "${WUSETU_UNPACK:-}" ] && there ""; then exit 0; fi
if there "$DEB"; then exit 0; fi

need_apt "PostgreSQL with PostGIS"
newest() {
  apt_cmd apt-cache search --names-only '^postgresql-[0-9]+-postgis-3$' |
    sed -n 's/^postgresql-\([0-9]*\)-postgis-3 .*/\1/p' | sort -n | tail -n 1
}
major=$(newest)
if [ -z "$major" ]; then fresh_lists; major=$(newest); fi
[ -n "$major" ] || die "the package sources of this machine offer no postgresql-NN-postgis-3; set WUSETU_DATABASE_URL to a server of yours"
[ "$major" -ge 15 ] || die "this release offers PostgreSQL $major only, 15 or newer is needed: set WUSETU_DATABASE_URL to a server of yours (docker-compose.yml has one), or add the packages of apt.postgresql.org"
if [ "$wanted" != '*' ]; then major=$wanted; fi

if may_install; then
  # Without this the package would also make and start a cluster "main" on port 5432.
  drop_in=/etc/postgresql-common/createcluster.d/wusetu.conf
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p "$(dirname "$drop_in")"
    echo 'create_main_cluster = false' >"$drop_in"
    trap 'rm -f "$drop_in"' EXIT
  fi
  apt_install postgresql "postgresql-$major" "postgresql-$major-postgis-3"
else
  fresh_lists
  # Raster, 3D and compiled expressions are not used; the server does not load them.
  leave='libgdal.*|libsfcgal.*|libllvm.*|postgresql.*|ssl-cert|locales.*|debconf.*|ucf|perl.*|lsb-base|adduser|netbase|sysvinit.*|sensible-utils|libjson-perl|init-system-helpers'
  # shellcheck disable=SC2046 # a list of names
  DENY="$leave" ALONE="postgresql-$major postgresql-client-$major postgresql-$major-postgis-3 postgresql-$major-postgis-3-scripts" \
    unpack postgresql $(needs_of "postgresql-$major" "postgresql-client-$major" "postgresql-$major-postgis-3" | grep -Evx "$leave")
  # what the packages' scripts would have done
  extension=$DEB/usr/share/postgresql/$major/extension
  [ -e "$extension/postgis.control" ] || cp "$extension/postgis-3.control" "$extension/postgis.control"
fi
there "" || there "$DEB" || die "PostgreSQL $major was installed, but is not where it should be"
