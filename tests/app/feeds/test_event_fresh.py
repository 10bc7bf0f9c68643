"""A snapshot of rows that were just stored is the one that reads them back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from app.database import transaction
from app.services import bulk, event_changes, snapshots
from app.services.event_changes import Changes, Everything
from app.services.event_fresh import FreshRows
from app.services.event_mapping import parse_mapping
from app.services.event_store import EventStore
from app.services.events import import_file

from .test_bulk import many

NOW = datetime(2025, 1, 1, tzinfo=UTC)
ZONE = "Asia/Shanghai"
Load = Callable[..., None]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[FreshRows]:
    with FreshRows(tmp_path) as rows:
        yield rows


@pytest.fixture
def load(engine: sa.Engine, pack: str, mapping: dict[str, Any], fresh: FreshRows) -> Load:
    """Import a file in small batches."""

    def call(path: Path, source: str = "alarm", **more: Any) -> None:
        import_file(
            engine, path, **{
                "pack": pack, "mapping": {**mapping, "source": source}, "batch": 40, "now": NOW,
                "fresh": fresh,
            } | more,
        )  # fmt: skip

    return call


def everything(engine: sa.Engine, fresh: FreshRows | None, version: int = 1) -> Everything:
    with engine.begin() as connection:
        return event_changes.read_all(connection, "toy", version, fresh=fresh)


def changes(
    engine: sa.Engine, since: str, kinds: tuple[str, ...], fresh: FreshRows | None
) -> Changes:
    with engine.begin() as connection:
        taken = event_changes.begin(connection).taken
        return event_changes.read_changes(
            connection, "toy", 1, since=since, taken=taken, kinds=kinds, fresh=fresh
        )


def rows(columns: Any) -> list[tuple[Any, ...]]:
    """Every row bit by bit, in an order of its own."""
    names = ("lon", "lat", "time", "kind", "unit", "located")
    return sorted(zip(*(getattr(columns, n).view(f"u{getattr(columns, n).itemsize}").tolist()
                        for n in names), strict=True))  # fmt: skip


def taken_from(engine: sa.Engine, fresh: FreshRows, version: int = 1) -> int:
    """How many rows need not be read."""
    with engine.begin() as connection:
        part = fresh.stored(connection, ("toy", version))
        return len(part.read(("fire", "theft")))


def equal(engine: sa.Engine, fresh: FreshRows, version: int = 1) -> None:
    ours, read = everything(engine, fresh, version), everything(engine, None, version)
    assert ours.kinds == read.kinds
    assert rows(ours.rows) == rows(read.rows)


def change(engine: sa.Engine, statement: str) -> int:
    with transaction(engine) as connection:
        return connection.execute(sa.text(statement)).rowcount


def test_what_was_stored_is_not_read_back(
    engine: sa.Engine, fresh: FreshRows, load: Load, tmp_path: Path
) -> None:
    load(many(tmp_path / "a.csv", 300))
    with engine.connect() as connection:
        stored = connection.scalar(sa.text("select count(*) from event"))
    assert taken_from(engine, fresh) == len(fresh) == stored > 150
    equal(engine, fresh)
    # others are read beside it
    load(many(tmp_path / "b.csv", 90, seed=8), source="beside", fresh=None)
    assert taken_from(engine, fresh) == stored
    equal(engine, fresh)
    # of other boundaries, or of another map: nothing
    assert taken_from(engine, fresh, version=2) == 0
    equal(engine, fresh, version=2)
    assert change(engine, "update event_source set pack = 'other' where name = 'alarm'") == 1
    assert taken_from(engine, fresh) == 0
    equal(engine, fresh)


@pytest.mark.parametrize(
    "statement",
    [
        "update event set kind = 'fire' where id % 50 = 0",
        "update event set unit_id = null where id % 50 = 0",
        "delete from event where id % 50 = 0",
        "delete from event",
        "truncate event",
    ],
)
def test_what_changed_meanwhile_is_read(
    engine: sa.Engine, fresh: FreshRows, load: Load, tmp_path: Path, statement: str
) -> None:
    load(many(tmp_path / "a.csv", 400))
    change(engine, statement)
    assert taken_from(engine, fresh) < len(fresh)
    equal(engine, fresh)
    # what comes back under other transactions is another row
    load(tmp_path / "a.csv", fresh=None)
    equal(engine, fresh)


def test_what_was_never_committed_is_not_there(
    engine: sa.Engine, fresh: FreshRows, load: Load, tmp_path: Path
) -> None:
    load(many(tmp_path / "a.csv", 100))
    there = len(fresh)
    noted: list[int] = []
    add = fresh.add

    def torn(written: int, *more: Any) -> None:
        add(written, *more)
        noted.append(written)
        raise ConnectionError("the server is gone")

    fresh.add = torn  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        load(many(tmp_path / "b.csv", 60, seed=3), source="torn")
    assert noted
    assert len(fresh) > there
    assert taken_from(engine, fresh) == there
    equal(engine, fresh)


def test_a_transaction_noted_twice_is_read(
    engine: sa.Engine, fresh: FreshRows, load: Load, tmp_path: Path
) -> None:
    add = fresh.add

    def twice(written: int, place: tuple[str, int], events: Any) -> None:
        for part in (events.slice(0, 1), events.slice(1), events):
            add(written, place, part)

    fresh.add = twice  # type: ignore[method-assign]
    load(many(tmp_path / "a.csv", 60))
    assert len(fresh) == taken_from(engine, fresh) == 0
    equal(engine, fresh)


def test_merged_batches_are_read(
    engine: sa.Engine, fresh: FreshRows, load: Load, tmp_path: Path
) -> None:
    load(many(tmp_path / "a.csv", 120), fresh=None)
    change(engine, "delete from event where id % 3 = 0")
    load(tmp_path / "a.csv")
    equal(engine, fresh)


def test_changes_of_rows_that_were_just_stored(
    engine: sa.Engine, fresh: FreshRows, load: Load, tmp_path: Path
) -> None:
    load(many(tmp_path / "a.csv", 120))
    before = everything(engine, fresh)
    counted = len(fresh)
    load(many(tmp_path / "b.csv", 200, seed=9), source="more")
    assert len(fresh) > counted
    change(engine, "delete from event where id % 40 = 0")
    for kinds in (before.kinds, before.kinds[:1], ("noise",)):
        ours = changes(engine, before.moment.taken, kinds, fresh)
        read = changes(engine, before.moment.taken, kinds, None)
        assert ours.kinds == read.kinds
        assert rows(ours.added) == rows(read.added)
        assert rows(ours.removed) == rows(read.removed)
        assert len(ours.added) > 100
        assert len(ours.removed) > 0


def test_the_snapshot_is_the_same(
    engine: sa.Engine, fresh: FreshRows, load: Load, tmp_path: Path
) -> None:
    load(many(tmp_path / "a.csv", 300))
    seen: list[str] = []
    first = snapshots.build(
        engine, tmp_path, "toy", ZONE, lambda text, *_: seen.append(text), fresh=fresh
    )
    assert "reading events" not in seen
    assert snapshots.verify(engine, tmp_path, "toy", ZONE)[0][1] is None
    load(many(tmp_path / "b.csv", 100, seed=4), source="more")
    folded = snapshots.renew(engine, tmp_path, "toy", ZONE, delta_rows=1, fresh=fresh)
    assert folded is not None
    assert folded.made_by == "compact"
    assert folded.events > first.events
    read = snapshots.build(engine, tmp_path, "toy", ZONE)
    assert (read.digest, read.newest, read.elsewhere) == (
        folded.digest, folded.newest, folded.elsewhere,
    )  # fmt: skip


def test_of_a_bulk_job(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], fresh: FreshRows, tmp_path: Path
) -> None:
    path = many(tmp_path / "events.csv", 300)
    job = bulk.prepare(
        engine, [path], tmp_path / "job", pack=pack, mapping=mapping, part_rows=40, now=NOW
    )
    bulk.run(job)
    bulk.adopt(engine, job.folder, fresh=fresh)
    assert len(fresh) == taken_from(engine, fresh) > 150
    equal(engine, fresh)


def test_kinds_beyond_what_a_byte_holds_are_read(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], fresh: FreshRows, tmp_path: Path
) -> None:
    import pyarrow as pa

    from app.services.event_store import EVENTS

    store = EventStore(engine, pack, parse_mapping(mapping), 1, fresh)
    for first in (0, 200):
        n = 150
        values = [
            [f"r{first + i}" for i in range(n)], [f"k{first + i}" for i in range(n)],
            np.full(n, "2024-01-01T00:00:00.9", "datetime64[us]"), np.full(n, 2, np.uint8),
            np.zeros(n, bool), np.ones(n, np.int32), [None] * n, [None] * n,
            np.full(n, 120.05), np.full(n, -0.0),
        ]  # fmt: skip
        arrays = [pa.array(v, f.type) for v, f in zip(values, EVENTS, strict=True)]
        store.store(pa.Table.from_arrays(arrays, schema=EVENTS))
    with engine.begin() as connection:
        part = fresh.stored(connection, (pack, 1))
        assert len(fresh) == 150
        assert part.kinds == {f"k{i}" for i in range(150)}
        found = part.read(tuple(sorted(part.kinds)))
    assert set(found.time.tolist()) == {1704067200}
    assert sorted(found.kind.tolist()) == list(range(150))
