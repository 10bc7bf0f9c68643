"""The commands of docs/feeds.md, run as they stand there; and watching in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import sqlalchemy as sa

from app.database import transaction
from app.services.boundaries import import_units
from app.settings import PROJECT
from geo.codes import CodeLayout

from ..conftest import until
from .feed_house import csv_of, drop, entered, row, scalar, stored


def surroundings(db_url: str, tmp_path: Path) -> dict[str, str]:
    """Environment in which `wusetu` is the program of this tree, on this test's database."""
    bin_ = tmp_path / "bin"
    bin_.mkdir(exist_ok=True)
    program = bin_ / "wusetu"
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from app.cli import main; main()" "$@"\n'
    )
    program.chmod(0o755)
    return os.environ | {
        "WUSETU_DATABASE_URL": db_url,
        "WUSETU_DATA_DIR": str(tmp_path / "data"),
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
    }


@pytest.mark.slow
def test_the_commands_of_the_page(
    engine: sa.Engine, db_url: str, toy: gpd.GeoDataFrame, layout: CodeLayout, tmp_path: Path
) -> None:
    with transaction(engine) as connection:
        import_units(connection, pack="hangzhou", label="1", frame=toy, layout=layout)
    text = (PROJECT / "docs" / "feeds.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    script = script.replace("/tmp/wusetu-demo", str(tmp_path / "demo"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], env=surroundings(db_url, tmp_path), cwd=tmp_path,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "hangzhou/alarms: 1 batches, 3 rows: 2 new, 0 updated, 0 unchanged, 1 rejected",
        "monday.csv, rows 2 to 4, 2,",
        "unknown_kind  kind: '纠纷'",
        "hangzhou/alarms: 1 stored, 0 overtaken by newer rows, 0 failed again, 0 were not kept",
        "hangzhou/alarms was removed; its events stay",
    ):
        assert line in done.stdout, done.stdout
    assert stored(engine) == {"A1": "theft", "A2": "fire", "A3": "dispute"}


def test_watching_until_it_is_ended(
    engine: sa.Engine, db_url: str, pack: str, mapping: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    entered(engine, mapping, "folder", folder=str(folder), settle_s=0.2, every_s=1)
    drop(folder, "one.csv", csv_of([row(1)]))
    child = subprocess.Popen(
        ["wusetu", "feeds", "watch"], env=surroundings(db_url, tmp_path), stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        until(lambda: scalar(engine, "select count(*) from event") == 1, 120)
        drop(folder, "two.csv", csv_of([row(2)]))
        until(lambda: scalar(engine, "select count(*) from event") == 2, 120)
    finally:
        child.send_signal(signal.SIGTERM)
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert out.count("toy/alarms: 1 batches, 1 rows: 1 new") == 2


@pytest.mark.parametrize("span", ["90", "0s", "1w", "m"])
def test_spans_that_are_none(span: str) -> None:
    from click.testing import CliRunner

    from app.cli.feeds import command

    given = ["add", "a", "push", "--pack", "toy", "--mapping", "m", "--expected", span]
    done = CliRunner().invoke(command, given)
    assert done.exit_code == 2
    assert "no span" in done.output
