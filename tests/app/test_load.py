"""The load benchmark runs at its smallest size on a real server; nothing is asserted about time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from app.settings import PROJECT

from .conftest import Assessed


def test_a_few_browsers_meet_no_error(assessed: Assessed, tmp_path: Path) -> None:
    environment = {
        **os.environ, "WUSETU_DATABASE_URL": assessed.url, "WUSETU_DATA_DIR": str(tmp_path),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", "--minutes", "0.08", "--browsers", "5"],
        cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "errors 0" in done.stdout
    assert "memory" in done.stdout
