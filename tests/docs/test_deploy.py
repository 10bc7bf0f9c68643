"""Units of systemd and the proxy's configuration are taken by systemd and nginx, where these are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from app.settings import PROJECT

FOLDER = PROJECT / "deploy"
UNITS = sorted(one.name for one in FOLDER.iterdir() if one.suffix in {".service", ".timer"})


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here")
    for name in UNITS:  # the programs they start are elsewhere on this machine
        text = (FOLDER / name).read_text().replace("/opt/wusetu/.venv/bin/wusetu", "/bin/true")
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in UNITS)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "wusetu" in line]
    assert ours == []


def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if nginx is None:
        pytest.skip("no nginx here")
    key, certificate = tmp_path / "map.key", tmp_path / "map.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=map.example",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    text = (FOLDER / "nginx.conf").read_text()
    text = text.replace("/etc/ssl/wusetu/map.key", str(key))
    text = text.replace("/etc/ssl/wusetu/map.crt", str(certificate))
    whole = tmp_path / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{one}_temp_path {tmp_path}/{one};\n" for one in kinds)
    whole.write_text(
        f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{places}{text}\n}}\n"
    )
    done = subprocess.run(
        [nginx, "-t", "-c", str(whole), "-p", str(tmp_path), "-e", str(tmp_path / "error.log")],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_pages_name_what_is_there() -> None:
    for lang in ("zh", "en"):
        text = (PROJECT / "docs" / lang / "deploy.md").read_text(encoding="utf-8")
        for name in (*UNITS, "nginx.conf"):
            assert f"deploy/{name}" in text
