#!/bin/sh
# Have Chromium and a Chinese font for the browser tests. Never fails: without them those tests
# are skipped and say why. Prints nothing but progress; test.sh finds what is there.
. "$(dirname -- "$0")/common.sh"
. "$ROOT/scripts/packages.sh"

font() {
  ls /usr/share/fonts/opentype/noto/*CJK* "$DEB"/usr/share/fonts/opentype/noto/*CJK* >/dev/null 2>&1 ||
    { have fc-list && [ -n "$(fc-list :lang=zh family)" ]; }
}

if ! { find_chromium >/dev/null && font; }; then
  if ! have apt-get; then
    say "No Chromium with a Chinese font, and no apt to get them: the browser tests will be skipped"
  elif may_install; then
    # Ubuntu's package is a stub for its snap store: what came is looked at below
    find_chromium >/dev/null || (apt_install chromium chromium) || true
    font || (apt_install fonts fonts-noto-cjk) || true
  else
    # it draws with the software renderer it carries
    find_chromium >/dev/null || (DENY='libllvm.*|libz3.*|libgl1-mesa-dri|mesa-.*|dbus.*|adwaita-.*|xdg-.*' \
      unpack chromium chromium fontconfig-config) || true
    font || (unpack fonts fonts-noto-cjk) || true
    if [ -x "$DEB/usr/lib/chromium/chromium" ]; then
      cat >"$DEB/fonts.conf" <<X
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>$DEB/usr/share/fonts</dir><cachedir>$DEB/fontcache</cachedir></fontconfig>
X
      cat >"$DEB/chromium" <<X
#!/bin/sh
export LD_LIBRARY_PATH='$(unpacked_libraries)'
export FONTCONFIG_FILE='$DEB/fonts.conf'
exec '$DEB/usr/lib/chromium/chromium' "\$@"
X
      chmod +x "$DEB/chromium"
    fi
  fi
  find_chromium >/dev/null || say "No Chromium: the browser tests will be skipped"
fi
