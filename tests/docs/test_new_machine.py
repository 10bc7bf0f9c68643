"""The first step of the tutorial: `make up` in a fresh clone, with nothing but the network."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import httpx
import pytest

from app.settings import PROJECT


@pytest.mark.slow
@pytest.mark.machine
def test_make_up_in_a_fresh_clone_serves_map_and_documentation() -> None:
    if (
        shutil.which("git") is None
        or not (PROJECT / ".git").exists()
        or shutil.which("make") is None
    ):
        pytest.skip("needs git, make and a git checkout")
    place = Path(tempfile.mkdtemp(prefix="wusetu-new-"))
    place.chmod(0o755)
    clone = place / "wusetu"
    subprocess.run(["git", "clone", "-q", str(PROJECT), str(clone)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("WUSETU_")
    }
    log = place / "up.log"
    with log.open("w") as said:
        up = subprocess.Popen(
            ["make", "up", f"PORT={port}"], cwd=clone, env=environment, stdin=subprocess.DEVNULL,
            stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 2400
        while address not in log.read_text() and up.poll() is None and time.monotonic() < end:
            time.sleep(1)
        assert up.poll() is None, log.read_text()
        assert re.search(rf"^{address}/$", log.read_text(), re.MULTILINE), log.read_text()
        packs = [one["pack"] for one in httpx.get(f"{address}/api/manifest").json()["maps"]]
        assert "hangzhou" in packs
        for page in ("/docs/", "/docs/tutorial/", "/docs/en/tutorial/"):
            assert "data/example" in httpx.get(address + page).text or page == "/docs/"
    finally:
        os.killpg(up.pid, signal.SIGINT)
        up.wait(120)
        shutil.rmtree(place, ignore_errors=True)
