#!/bin/sh
# Have Chromium for the browser tests; the Chinese font is that of scripts/fonts.sh. Never fails:
# without it those tests are skipped and say why. Prints nothing but progress; test.sh finds what is
# there.
. "$(dirname -- "$0")/common.sh"
. "$ROOT/scripts/packages.sh"

if ! find_chromium >/dev/null; then
  if ! have apt-get; then
    say "No Chromium, and no apt to get it: the browser tests will be skipped"
  elif may_install; then
    # Ubuntu's package is a stub for its snap store: what came is looked at below
    (apt_install chromium chromium) || true
  else
    # it draws with the software renderer it carries
    (DENY='libllvm.*|libz3.*|libgl1-mesa-dri|mesa-.*|dbus.*|adwaita-.*|xdg-.*' \
      unpack chromium chromium fontconfig-config) || true
    if [ -x "$DEB/usr/lib/chromium/chromium" ]; then
      cat >"$DEB/fonts.conf" <<Y
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>$DEB/usr/share/fonts</dir><cachedir>$DEB/fontcache</cachedir></fontconfig>
Y
      cat >"$DEB/chromium" <<Y
#!/bin/sh
export LD_LIBRARY_PATH='$(unpacked_libraries)'
export FONTCONFIG_FILE='$DEB/fonts.conf'
exec '$DEB/usr/lib/chromium/chromium' "\$@"
Y
      chmod +x "$DEB/chromium"
    fi
  fi
  find_chromium >/dev/null || say "No Chromium: the browser tests will be skipped"
fi
