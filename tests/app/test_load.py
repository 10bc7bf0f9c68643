"""The load benchmark runs at its smallest size on a real server; nothing is asserted about time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from app.services import tile_archives
from app.services.assess import assess
from app.settings import PROJECT

from .conftest import Small


def test_a_few_browsers_meet_no_error(
    engine: sa.Engine, db_url: str, small: Small, tmp_path: Path
) -> None:
    tile_archives.build(engine, small.version, tmp_path / "archives")
    assess(engine, "small", "nine-kinds", finest="town", zone="Asia/Shanghai")
    environment = {
        **os.environ, "WUSETU_DATABASE_URL": db_url, "WUSETU_DATA_DIR": str(tmp_path),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", "--minutes", "0.1", "--browsers", "10"],
        cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "errors 0" in done.stdout
    assert "tiles, first" in done.stdout
    assert "memory" in done.stdout
