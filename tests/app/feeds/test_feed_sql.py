"""Rows of real databases, SQLite and PostgreSQL: nothing passed over, nothing written there."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import Invalid, Unavailable
from app.feeds.base import SqlSettings
from app.feeds.sql import SqlSource
from app.services.event_mapping import parse_mapping
from app.services.feed_run import Runner
from app.services.feed_take import Taker

from .feed_house import entered, row, scalar, stored

COLUMNS = "ref text, kind text, at text, lon real, lat real, code text, address text, seq integer"


@pytest.fixture
def other(tmp_path: Path) -> sqlite3.Connection:
    """Somebody else's database."""
    made = sqlite3.connect(tmp_path / "other.db", isolation_level=None)
    made.execute(f"create table calls ({COLUMNS}, caller text)")
    return made


@pytest.fixture
def runner(engine: sa.Engine, tmp_path: Path) -> Runner:
    return Runner(Taker(engine, tmp_path / "locate"))


def put(other: sqlite3.Connection, *rows: tuple[int, int]) -> None:
    """Add rows: reference and cursor."""
    for n, seq in rows:
        one = row(n)
        other.execute(
            "insert into calls values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                one["ref"],
                one["kind"],
                one["at"],
                one["lon"],
                one["lat"],
                None,
                None,
                seq,
                "13800138000",
            ),
        )


def test_only_what_is_new_is_read(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], other: sqlite3.Connection, tmp_path: Path,
    runner: Runner,
) -> None:  # fmt: skip
    url = f"sqlite:///{tmp_path / 'other.db'}"
    put(other, *((n, n) for n in range(1, 8)))
    feed = entered(engine, mapping, "sql", url=url, table="calls", cursor="seq", batch=3)
    look = runner.look(feed.id)
    assert (look.batches, look.new, look.error) == (3, 7, None)
    assert scalar(engine, "select cursor ->> 'value' from feed") == "7"
    assert scalar(engine, "select place from feed_row order by event_id desc limit 1") == "seq=7"
    assert runner.look(feed.id).batches == 0
    put(other, (8, 8), (1, 9))
    look = runner.look(feed.id)
    assert (look.batches, look.new, look.updated) == (1, 1, 0)
    assert len(stored(engine)) == 8


def test_rows_of_one_cursor_value_are_not_split(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], other: sqlite3.Connection, tmp_path: Path,
    runner: Runner,
) -> None:  # fmt: skip
    put(other, *((n, 1 + n // 5) for n in range(23)))
    feed = entered(engine, mapping, "sql", url=f"sqlite:///{tmp_path / 'other.db'}",
                   query="select * from calls where kind <> 'x';", cursor="seq", batch=3)  # fmt: skip
    assert runner.look(feed.id).new == 23


@given(
    rounds=st.lists(st.lists(st.integers(1, 6), max_size=8), min_size=1, max_size=4),
    size=st.integers(1, 5),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_passed_over_whatever_the_cursor_values(
    rounds: list[list[int]], size: int, mapping: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "any.db"
    with sqlite3.connect(path, isolation_level=None) as made:
        made.execute("drop table if exists calls")
        made.execute(f"create table calls ({COLUMNS}, caller text)")
        chosen = parse_mapping(mapping)
        source = SqlSource(
            SqlSettings(url=f"sqlite:///{path}", table="calls", cursor="seq", batch=size), chosen
        )
        cursor: dict[str, Any] = {}
        seen: list[str] = []
        n = base = 0
        for one in rounds:
            for step in one:
                n += 1
                put(made, (n, base + step))
            base += 10  # later rows have higher cursors
            for batch in source.batches(cursor):
                seen += batch.chunk.table["ref"].to_pylist()
                assert batch.before == cursor
                cursor = batch.cursor or {}
        assert sorted(seen) == sorted(f"A{i}" for i in range(1, n + 1))
        source.close()


def test_what_was_committed_late_is_read_with_an_overlap(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], other: sqlite3.Connection, tmp_path: Path,
    runner: Runner,
) -> None:  # fmt: skip
    put(other, (1, 10), (3, 30))
    feed = entered(engine, mapping, "sql", url=f"sqlite:///{tmp_path / 'other.db'}", table="calls",
                   cursor="seq", overlap=25, batch=1)  # fmt: skip
    assert runner.look(feed.id).new == 2
    put(other, (2, 20))  # begun before 30, committed after it was read
    assert runner.look(feed.id).new == 1
    arrivals = scalar(engine, "select count(*) from feed_batch")
    runner.look(feed.id)
    # looked at again and nothing new: no arrival
    assert scalar(engine, "select count(*) from feed_batch") == arrivals
    assert scalar(engine, "select cursor ->> 'value' from feed") == "30"


def test_postgres_by_time(
    engine: sa.Engine,
    db_url: str,
    pack: str,
    mapping: dict[str, Any],
    runner: Runner,
    tmp_path: Path,
) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "create table public.calls (ref text, kind text, at timestamptz, lon numeric, lat numeric, "
            "code text, address text, changed timestamptz)"
        )
        connection.exec_driver_sql(
            "insert into public.calls select 'A' || n, '盗窃', timestamptz '2024-05-06 07:08:09+08' + n * "
            "interval '1 hour', 120.05, 30.05, null, null, timestamptz '2024-06-01 00:00+00' + (n / 2) * "
            "interval '1 second' from generate_series(1, 9) n"
        )
    parsed = sa.make_url(db_url).set(drivername="postgresql+psycopg2")
    file = tmp_path / "password"
    file.write_text(f"{parsed.password or 'none'}\n")
    url = parsed.set(password=None).render_as_string()
    feed = entered(engine, mapping, "sql", url=url, table="public.calls", cursor="changed", batch=2,
                   password_file=str(file))  # fmt: skip
    look = runner.look(feed.id)
    assert (look.new, look.error) == (9, None)
    at = scalar(engine, "select occurred_at from event where reference = 'A2'")
    assert at == datetime.fromisoformat("2024-05-06T09:08:09+08:00")
    assert datetime.fromisoformat(scalar(engine, "select cursor ->> 'value' from feed")) == (
        datetime.fromisoformat("2024-06-01T00:00:00+00:00") + timedelta(seconds=4)
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "update public.calls set kind = '火警', changed = '2024-06-02' where ref = 'A3'"
        )
    assert runner.look(feed.id).updated == 1
    assert stored(engine)["A3"] == "fire"


def test_nothing_is_written_there(db_url: str, engine: sa.Engine, mapping: dict[str, Any]) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("create table public.calls (seq int)")
        connection.exec_driver_sql(
            "create function public.take() returns int language sql as "
            "'insert into public.calls values (1) returning seq'"
        )
    url = sa.make_url(db_url).set(drivername="postgresql+psycopg2").render_as_string(False)
    body = {"source": "s", "columns": {"time": "at"}, "kinds": {"constant": "theft"}}
    made = SqlSettings.model_construct(
        url=url, password_file=None, table="", cursor="seq", overlap=0.0, batch=5,
        query="select public.take() as seq, now() as at",
    )  # fmt: skip
    source = SqlSource(made, parse_mapping(body))
    with pytest.raises(Unavailable, match="read-only transaction"):
        list(source.batches({}))
    source.close()
    assert scalar(engine, "select count(*) from public.calls") == 0


def test_a_database_that_is_not_as_said_is_told_without_the_password(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], tmp_path: Path, runner: Runner
) -> None:
    feed = entered(engine, mapping, "sql", url=f"sqlite:///{tmp_path / 'none.db'}", table="calls",
                   cursor="seq")  # fmt: skip
    assert "no such table: calls" in (runner.look(feed.id).error or "")
    file = tmp_path / "password"
    file.write_text("hush-hush")
    feed = entered(engine, mapping, "sql", name="b", url="postgresql+psycopg2://me@127.0.0.1:1/db",
                   table="calls", cursor="seq", password_file=str(file))  # fmt: skip
    error = runner.look(feed.id).error or ""
    assert "127.0.0.1" in error
    assert "hush" not in error
    assert "hush" not in str(scalar(engine, "select string_agg(settings::text, '') from feed"))


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"table": "a", "query": "select 1"}, "either table or query"), ({}, "either table or query"),
        ({"query": "delete from a"}, "one select"), ({"query": "select 1; drop table a"}, "one select"),
        ({"table": "a;b"}, "table"), ({"table": "a", "url": "sqlite://:pw@/x"}, "password_file"),
        ({"table": "a", "url": "nonsense"}, "no address"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], more: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(Invalid, match=wrong) as caught:
        entered(engine, mapping, "sql", **({"url": "sqlite:///x.db", "cursor": "seq"} | more))
    assert "pw" not in caught.value.message
