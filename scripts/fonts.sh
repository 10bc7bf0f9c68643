#!/bin/sh
# Have a Chinese font for reports and for the browser tests. Never fails: without one the PDF says
# how to get it, and those tests are skipped.
. "$(dirname -- "$0")/common.sh"
. "$ROOT/scripts/packages.sh"

font() {
  # (one `ls` of both places would fail when one of them is missing)
  ls /usr/share/fonts/opentype/noto/*CJK* >/dev/null 2>&1 || ls "$DEB"/usr/share/fonts/opentype/noto/*CJK* >/dev/null 2>&1 ||
    { have fc-list && [ -n "$(fc-list :lang=zh family)" ]; }
}

if font || [ -n "${WUSETU_FONTS:-}" ]; then exit 0; fi
if ! have apt-get; then
  say "No Chinese font, and no apt to get one: install Noto Sans CJK, or name its folder in WUSETU_FONTS, to have reports as PDF"
elif may_install; then
  (apt_install fonts fonts-noto-cjk) || true
else
  (unpack fonts fonts-noto-cjk) || true
fi
font || say "No Chinese font: reports as PDF will say how to get one"
