#!/bin/sh
# Have libfaketime for the test that lets the clock of a server jump. Never fails: without it that
# test is skipped and says why.
. "$(dirname -- "$0")/common.sh"
. "$ROOT/scripts/packages.sh"

faketime() { ls /usr/lib/*/faketime/libfaketimeMT.so.1 "$DEB"/usr/lib/*/faketime/libfaketimeMT.so.1 2>/dev/null | grep -q .; }

if faketime; then exit 0; fi
if ! have apt-get; then
  say "No libfaketime, and no apt to get it: one test will be skipped"
elif may_install; then
  (apt_install libfaketime libfaketime) || true
else
  (unpack libfaketime libfaketime) || true
fi
faketime || say "No libfaketime: one test will be skipped"
