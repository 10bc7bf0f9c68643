"""Every benchmark runs at its smallest size; nothing is asserted about time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: module → its smallest size, and a text that only a finished run prints
SMOKES: dict[str, tuple[list[str], str]] = {
    "border": (["--smoke"], "only visible together"),
    "devices": (["--smoke"], "alarm to screen by HTTP: 2 of 2"),
    "gi": (["--smoke"], "largest difference of z"),
    "locate": (["--smoke"], "shapely tree of points"),
    "area_http": (["--events", "20000", "--requests", "4"], "answers other than 200: 0"),
    "scan": (["--smoke"], "whether to give up"),
}


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


@pytest.mark.parametrize("name", SMOKES)
def test_smoke(name: str) -> None:
    arguments, text = SMOKES[name]
    done = run(name, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert text in done.stdout


# too long even at their smallest size, or another test runs them: at least they can start
OTHERS = sorted({p.stem for p in (ROOT / "benchmarks").glob("*.py")} - SMOKES.keys())


@pytest.mark.parametrize("name", OTHERS)
def test_help(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout
