"""`wusetu assess` and `wusetu runs`: what people see, exit codes, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from app.cli import cli
from app.errors import Conflict, NotFound

from .conftest import Small


@pytest.fixture
def call(db_url: str, monkeypatch: pytest.MonkeyPatch):
    """Run a command on this test's database."""
    monkeypatch.setenv("WUSETU_DATABASE_URL", db_url)

    def run(*arguments: str):
        return CliRunner().invoke(cli, list(arguments))

    return run


def test_assess_says_what_it_did(call, small: Small) -> None:
    found = call("assess", "--pack", "small", "--level", "village")
    assert found.exit_code == 0, found.output
    assert "map        small, scene nine-kinds, calendar Asia/Shanghai" in found.output
    assert "periods    2023-02-01 up to 2024-12-01, month, quarter, year" in found.output
    assert "levels     city, county, town, village\n" in found.output
    assert "note       7 events are located in another boundary version" in found.output
    assert "published  run 1 in " in found.output


def test_runs_are_listed_and_pruned(call, small: Small) -> None:
    assert "no runs yet" in call("runs", "list").output
    for _ in range(3):
        assert call("assess", "--pack", "small", "--level", "city").exit_code == 0
    lines = call("runs", "list").output.splitlines()
    assert [line.split()[:3] for line in lines] == [
        [str(n), "small", "published"] for n in (3, 2, 1)
    ]
    assert call("runs", "prune", "--keep", "1").output == "deleted 2 runs: 1, 2\n"
    assert len(call("runs", "list", "--pack", "small").output.splitlines()) == 1
    assert call("runs", "prune", "--keep", "0").exit_code == 2
    assert isinstance(call("runs", "prune", "--pack", "big").exception, Conflict)


def test_a_missing_map_is_one_clear_line(db_url: str, call) -> None:
    assert isinstance(call("assess", "--pack", "big").exception, NotFound)
    found = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", "assess", "--pack", "big"],
        capture_output=True,
        text=True,
        env={**os.environ, "WUSETU_DATABASE_URL": db_url},
        check=False,
    )
    assert found.returncode == 2
    assert found.stderr.startswith("wusetu: there are no boundaries of 'big'")
    assert len(found.stderr.splitlines()) == 1


def test_ctrl_c_changes_nothing(db_url: str, engine: sa.Engine, small: Small) -> None:
    deadline = time.monotonic() + 120
    with engine.connect() as holder, engine.connect() as connection:
        # the run stands still in its middle, where it reads the events
        holder.execute(sa.text("lock table event in access exclusive mode"))
        child = subprocess.Popen(
            [sys.executable, "-c", "from app.cli import main; main()", "assess", "--pack", "small"],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "WUSETU_DATABASE_URL": db_url},
        )
        connection.execution_options(isolation_level="AUTOCOMMIT")
        while not connection.execute(
            sa.text(
                "select count(*) from pg_locks where not granted "
                "and database = (select oid from pg_database where datname = current_database())"
            )
        ).scalar_one():
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        holder.rollback()
    out, err = child.communicate(timeout=120)
    assert (child.returncode, out) == (130, "")
    assert "interrupted: nothing was changed" in err
    with engine.connect() as connection:
        assert connection.execute(sa.text("select count(*) from run")).scalar_one() == 0
