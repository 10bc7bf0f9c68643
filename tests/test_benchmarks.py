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


HELP = """
import io, runpy, sys
from contextlib import redirect_stdout

for name in sys.argv[1:]:
    sys.argv, told = [name, "--help"], io.StringIO()
    try:
        with redirect_stdout(told):
            runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    except SystemExit as end:
        assert end.code in {0, None}, (name, end.code)
    assert "usage" in told.getvalue().lower(), (name, told.getvalue())
    print("can start:", name)
"""


def test_the_others_can_start() -> None:
    """In one process: most of the time goes into loading what all of them load."""
    done = subprocess.run(
        [sys.executable, "-c", HELP, *OTHERS],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("can start:") == len(OTHERS) > 10
