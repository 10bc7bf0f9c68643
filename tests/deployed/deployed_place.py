"""A bare Debian, a copy of the project, and commands of the documentation: for tests of whole machines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.settings import PROJECT

sys.path.insert(0, str(PROJECT / "tests" / "docs"))

from docs_pages import DOCS, blocks

RELEASE = "bookworm"
#: Certificate authorities of this machine: who needs them to reach the packages has them here.
AUTHORITIES = Path("/usr/local/share/ca-certificates")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
TRUST = {"PIP_CERT": BUNDLE, "SSL_CERT_FILE": BUNDLE, "NODE_EXTRA_CA_CERTS": BUNDLE}


def ran(command: list[str], timeout: float = 1800, **more: Any) -> str:
    """Run a command; what it printed, or a failure that shows it."""
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        stdin=more.pop("stdin", subprocess.DEVNULL), timeout=timeout, **more,
    )  # fmt: skip
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout[-8000:]}"
    return done.stdout


def until(what: str, true: Callable[[], bool], seconds: float, said: Callable[[], str]) -> None:
    """Wait for a condition; show what was said when it does not come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s\n{said()[-8000:]}"
        time.sleep(1)


def told(page: str, here: str) -> list[str]:
    """Lines of the blocks of a page (in both languages the same) that the test `here` runs, in order."""
    english = DOCS / "en" / page
    pages = (DOCS / "zh" / page, english if english.exists() else DOCS / page)
    per_language = [
        [one.text for one in blocks(page) if one.value("checked") == here] for page in pages
    ]
    assert per_language[0] == per_language[1], f"{page} differs between the languages"
    return [line for text in per_language[0] for line in text.splitlines() if line.strip()]


def copy_of_the_project(to: Path) -> Path:
    """What git knows of the project, as it stands in the working folder."""
    names = ran(
        ["git", "-C", str(PROJECT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    )
    for name in names.split("\0"):
        if name and (PROJECT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, to / name)
    return to


def wants_root(*programs: str) -> None:
    """Skip, saying why, where this cannot be tried."""
    if os.geteuid() != 0:
        pytest.skip("only root starts machines and containers")
    missing = [
        one
        for one in programs
        if shutil.which(one, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None
    ]
    if missing:
        pytest.skip(f"not here: {', '.join(missing)}")


def bare_debian(to: Path) -> Path:
    """A minimal Debian in a folder, with this machine's own certificate authorities."""
    ran(["debootstrap", "--variant=minbase", RELEASE, str(to)])
    trusted = to / AUTHORITIES.relative_to("/")
    trusted.mkdir(parents=True, exist_ok=True)
    if AUTHORITIES.is_dir():
        for one in AUTHORITIES.glob("*.crt"):
            shutil.copy2(one, trusted)
    return to


def with_trust(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment in which the packages are reached from a bare Debian."""
    return {**(TRUST if any(AUTHORITIES.glob("*.crt")) else {}), **(environment or {})}
