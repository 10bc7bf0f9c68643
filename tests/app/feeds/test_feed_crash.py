"""Killed at any moment, nothing of a feed is lost or doubled: real processes, real PostGIS."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.services.feeds import Feed
from app.settings import PROJECT

from .feed_house import csv_of, drop, entered, row
from .test_feed_sql import COLUMNS, put

Look = Callable[[Feed, int], int]
GOOD = 7


@pytest.fixture
def look(db_url: str, tmp_path: Path) -> Iterator[Look]:
    """Look at a feed in a process of its own; its exit status."""
    script = Path(__file__).with_name("killed_feeds.py")
    child = subprocess.Popen(
        [sys.executable, str(script), db_url, str(tmp_path / "locate")],
        env=os.environ | {"PYTHONPATH": str(PROJECT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None

    def ask(feed: Feed, moment: int) -> int:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps({"feed": feed.id, "moment": moment}) + "\n")
        child.stdin.flush()
        found: int = json.loads(child.stdout.readline())
        return found

    yield ask
    child.stdin.close()
    child.wait()


def rows() -> list[dict[str, Any]]:
    """Seven good rows and two that are not."""
    return [row(n) for n in range(GOOD)] + [row(90, kind="飞碟"), row(91, lat=None)]


@pytest.fixture(params=["folder", pytest.param("sql", marks=pytest.mark.slow)])
def begin(
    request: pytest.FixtureRequest,
    engine: sa.Engine,
    pack: str,
    mapping: dict[str, Any],
    tmp_path: Path,
) -> Callable[[], Feed]:
    """Make a feed with everything still to be taken; nothing of one before is left."""

    def made() -> Feed:
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "truncate feed, feed_batch, feed_row, feed_dead, event cascade"
            )
        if request.param == "folder":
            folder = tmp_path / "in"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            drop(folder, "one.csv", csv_of(rows()[:5]))
            drop(folder, "two.csv", csv_of(rows()[5:]))
            return entered(engine, mapping, "folder", folder=str(folder), settle_s=1)
        path = tmp_path / "other.db"
        path.unlink(missing_ok=True)
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute(f"create table calls ({COLUMNS}, caller text)")
            put(other, *((n, 1 + n // 2) for n in range(GOOD)))
            other.execute(
                "insert into calls (ref, kind, at, seq) values ('A90', '飞碟', '2024-05-06', 9)"
            )
            other.execute(
                "insert into calls (ref, kind, at, lon, seq) values ('A91', '盗窃', '2024-05-06', 120.05, 10)"
            )
        other.close()
        return entered(engine, mapping, "sql", url=f"sqlite:///{path}", table="calls", cursor="seq",
                       batch=3)  # fmt: skip

    return made


def whole(engine: sa.Engine) -> None:
    """Everything is there, once."""
    with engine.connect() as connection:

        def told(text: str) -> Any:
            return connection.execute(sa.text(text)).one()

        assert told("select count(*), count(distinct reference) from event") == (GOOD, GOOD)
        assert told("select count(*), count(distinct event_id) from feed_row") == (GOOD, GOOD)
        assert told("select sum(rows), sum(new), sum(updated), sum(rejected) from feed_batch") == (
            GOOD + 2, GOOD, 0, 2,
        )  # fmt: skip
        assert told("select array_agg(reason order by reason) from feed_dead")[0] == [
            "half_point", "unknown_kind",
        ]  # fmt: skip
        # every event tells the batch that brought it
        assert told(
            "select count(*) from feed_row r join feed_batch b on b.id = r.batch_id "
            "join event e on e.id = r.event_id"
        ) == (GOOD,)


def test_killed_at_every_moment(engine: sa.Engine, begin: Callable[[], Feed], look: Look) -> None:
    moment, ended = 0, 1
    while ended != 0:
        moment += 1
        feed = begin()
        ended = look(feed, moment)
        assert ended in (0, -signal.SIGKILL)
        if ended:
            assert look(feed, 0) == 0
        whole(engine)
    assert look(feed, 0) == 0  # looked at again: nothing changes
    whole(engine)
    assert moment > 8


@pytest.mark.slow
@given(moments=st.lists(st.integers(1, 12), min_size=2, max_size=5))
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_killed_again_and_again(
    moments: list[int], engine: sa.Engine, begin: Callable[[], Feed], look: Look
) -> None:
    feed = begin()
    for moment in moments:
        assert look(feed, moment) in (0, -signal.SIGKILL)
    assert look(feed, 0) == 0
    whole(engine)
