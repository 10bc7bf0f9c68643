"""A real Mosquitto of a test's own, on a port of its own, that can be killed and started again."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from app.settings import PROJECT


def program() -> tuple[str, dict[str, str]]:
    """Path of Mosquitto and what it needs in its environment; skips where there is none."""
    if found := shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"]):
        return found, {}
    for root in (Path(os.environ.get("WUSETU_DATA_DIR", "/")) / "deb", PROJECT / ".wusetu" / "deb"):
        if (root / "usr/sbin/mosquitto").exists():
            libraries = ":".join(str(one) for one in root.glob("usr/lib/*-linux-*"))
            return str(root / "usr/sbin/mosquitto"), {"LD_LIBRARY_PATH": libraries}
    pytest.skip("no Mosquitto here: `make test` fetches it where the distribution has it")


class Mosquitto:
    """The broker; it writes what it holds to disk every second, so that a kill may cost it the last one.

    Parameters
    ----------
    folder : of its own
    more : further lines of its configuration
    scheme : mqtt, or mqtts where these lines say with which certificate
    """

    def __init__(self, folder: Path, *more: str, scheme: str = "mqtt") -> None:
        self._program, self._env = program()
        self._scheme = scheme
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port: int = one.getsockname()[1]
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "mosquitto.conf"
        owner = "root" if os.geteuid() == 0 else ""
        self._file.write_text(
            "\n".join([
                f"listener {self.port} 127.0.0.1", *(more or ["allow_anonymous true"]),
                "persistence true", f"persistence_location {folder}/", "autosave_interval 1",
                "max_queued_messages 0", "max_inflight_messages 2000",
                "log_type error", *([f"user {owner}"] if owner else []),
            ]) + "\n"
        )  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address for clients."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._file)], env={**os.environ, **self._env}
        )
        end = time.monotonic() + 30
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                return
            assert self._process.poll() is None, "Mosquitto ended at once"
            assert time.monotonic() < end, "Mosquitto does not listen"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
