#!/bin/sh
# Have Chromium and a Chinese font for the browser tests. Never fails: without them the browser
# tests are skipped and say why.
. "$(dirname -- "$0")/common.sh"
. "$ROOT/scripts/packages.sh"

browser() {
  for br_name in ${WUSETU_CHROMIUM:-} chromium chromium-browser google-chrome-stable google-chrome; do
    have "$br_name" && return 0
  done
  [ -x "$DEB/usr/lib/chromium/chromium" ]
}
font() {
  ls /usr/share/fonts/opentype/noto/*CJK* "$DEB"/usr/share/fonts/opentype/noto/*CJK* >/dev/null 2>&1 ||
    { have fc-list && [ -n "$(fc-list :lang=zh family)" ]; }
}
if browser && font; then exit 0; fi
have apt-get || exit 0
if may_install; then
  # Ubuntu's package "chromium" is a snap without the browser in it: what comes is looked at below.
  (apt_install browser chromium fonts-noto-cjk) || true
else
  (unpack browser chromium fonts-noto-cjk fontconfig-config fonts-dejavu-core) || true
fi
browser || say "No Chromium: the browser tests will be skipped"
