#!/bin/sh
# Have the MQTT broker Mosquitto for the tests of devices, unpacked into the data folder: installed as
# a package it would start a broker of its own. Never fails: without it those tests are skipped and
# say why.
. "$(dirname -- "$0")/common.sh"
. "$ROOT/scripts/packages.sh"

mosquitto() { [ -x /usr/sbin/mosquitto ] || [ -x "$DEB/usr/sbin/mosquitto" ]; }

if mosquitto; then exit 0; fi
if have apt-get && have dpkg-deb; then
  export WUSETU_UNPACK=1
  # lists fetched for installing are the system's, not those unpacking reads
  ls "$DEB"/apt/state/lists/*Packages* >/dev/null 2>&1 || rm -f "$DATA/log/lists-$(id -u)"
  (unpack mosquitto mosquitto) || true
fi
mosquitto || say "No Mosquitto: the tests with a broker will be skipped"
