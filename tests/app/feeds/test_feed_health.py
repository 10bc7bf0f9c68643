"""How feeds are: late, stopped, failing; intervals learnt from arrivals; days and shares."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.database import transaction
from app.feeds.base import Batch
from app.feeds.records import chunk_of
from app.services import feeds
from app.services.feed_health import DAYS, health, learnt, state
from app.services.feed_take import Taker

from .feed_house import entered, row

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "expected", "age", "wanted"),
    [
        (None, None, 1e9, "new"), (None, 60, 200, "new"), (None, 60, 241, "stopped"),
        (10, None, 1e9, "fine"), (89, 60, 1e9, "fine"), (91, 60, 1e9, "late"),
        (240, 60, 1e9, "late"), (241, 60, 1e9, "stopped"),
    ],
)  # fmt: skip
def test_states(since: float | None, expected: float | None, age: float, wanted: str) -> None:
    def told(**more: bool) -> str:
        flags = {"paused": False, "failing": False} | more
        return state(since_s=since, expected_s=expected, age_s=age, **flags)

    assert told() == wanted
    assert told(failing=True) == "failing"
    assert told(failing=True, paused=True) == "paused"


def test_an_interval_is_learnt_from_enough_arrivals() -> None:
    def at(*minutes: float) -> list[datetime]:
        return [START - timedelta(minutes=one) for one in minutes]

    assert learnt([]) is None
    assert learnt(at(0, 10, 20, 30, 40)) is None
    assert learnt(at(0, 10, 20, 30, 40, 50)) == 600
    # a night in between does not count, a burst of one delivery neither
    assert learnt(at(0, 10, 20, 30, 500, 510, 520)) == 600
    assert learnt(at(0, 0.001, 0.002, 10, 20, 20.001, 30, 40, 50)) == 600
    assert learnt(at(*(n / 60 for n in range(20)))) == 60


def arrive(engine: sa.Engine, tmp_path: Path, feed: feeds.Feed, hours_ago: list[float]) -> None:
    taker = Taker(engine, tmp_path / "locate")
    for n, hours in enumerate(hours_ago):
        chunk = chunk_of([row(n), row(n + 100, kind="飞碟")], feed.mapping)
        done = taker.take(feed, Batch(f"k{n}", f"file {n}", chunk, feed.mapping.columns.point))
        with engine.begin() as connection:
            connection.execute(
                sa.text(
                    "update feed_batch set arrived_at = clock_timestamp() - make_interval(secs => :s) "
                    "where id = :id"
                ),
                {"s": hours * 3600, "id": done.batch},
            )


def test_a_feed_that_stops_is_named(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], tmp_path: Path
) -> None:
    feed = entered(engine, mapping, "push", expected_s=3600)
    with engine.begin() as connection:
        connection.exec_driver_sql("update feed set mapped_at = now() - interval '60 days'")

    def told() -> Any:
        with engine.connect() as connection:
            return health(connection, "Asia/Shanghai")[0][0]

    assert told().state == "new"
    arrive(engine, tmp_path, feed, [200, 30, 5])
    one = told()
    assert (one.state, one.expected_s, one.learnt) == ("stopped", 3600, False)
    assert one.last_origin == "file 2"
    assert one.since_s == pytest.approx(5 * 3600, abs=120)
    # the week: two of the three
    assert (one.rows, one.rejected, one.new, one.dead) == (4, 2, 2, 3)
    assert one.reasons == {"unknown_kind": 2}
    assert len(one.days) == DAYS
    assert sum(day.rows for day in one.days) == 6
    assert sum(day.rejected for day in one.days) == 3
    # 2024-05-06 07:08:09 local is the newest event
    assert one.lag_s == pytest.approx(
        (one.last_arrival - datetime(2024, 5, 5, 23, 8, 9, tzinfo=UTC)).total_seconds()
    )


def test_a_batch_of_nothing_but_rejects_fails_until_the_mapping_is_mended(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], tmp_path: Path
) -> None:
    feed = entered(engine, mapping, "push")
    taker = Taker(engine, tmp_path / "locate")
    chunk = chunk_of([row(1, kind="飞碟")], feed.mapping)
    taker.take(feed, Batch("k", "request", chunk, feed.mapping.columns.point))

    def told() -> Any:
        with engine.connect() as connection:
            return health(connection, "Asia/Shanghai")[0][0]

    assert told().state == "failing"
    with transaction(engine) as connection:
        feeds.mend(connection, feed, {**mapping, "crs": "gcj02"})
    one = told()
    assert (one.state, one.rows, one.dead, one.crs) == ("fine", 0, 1, "gcj02")
