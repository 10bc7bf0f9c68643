"""One batch of a feed into the store: events, where each came from, dead letters and cursor together.

Imports the import's own rooms (`event_rows`, `event_places`, `event_store`), `app.feeds.base` and the
database. Promises: a batch is one transaction, so that a process killed at any moment has stored all of
it with its cursor or nothing; a batch taken before changes nothing; a cursor moved by somebody else
meanwhile refuses the batch as a whole; an event outside the feed's jurisdiction is never stored, nor its
address put into the neighbour's queue; of a row that could not be used the mapped columns are kept when nothing in them looks like a person's.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from app.database import transaction
from app.errors import Conflict
from app.feeds.base import Batch
from app.services import address_base, address_resolve, event_persons, feed_diagnosis
from app.services.boundaries import newest_version
from app.services.event_files import Broken, Chunk
from app.services.event_places import Located, Place, locate_rows, open_place
from app.services.event_rows import RowChecker, Rows
from app.services.event_store import EventStore
from app.services.events import check_source, events_table
from app.services.feeds import Feed

#: open dead letters of one feed; more are counted and not kept
MOST_DEAD = 10_000
LONGEST_VALUE = 2_000
ELSEWHERE = "elsewhere"

_BEGIN = sa.text("""
insert into feed_batch (feed_id, key, origin, rows, rejected, reasons, compared, mismatch, tried,
                        newest, account_id)
values (:feed, :key, :origin, :rows, :rejected, :reasons, :compared, :mismatch, :tried, :newest, :account)
on conflict (feed_id, key) do nothing returning id
""").bindparams(
    sa.bindparam("reasons", type_=sa.JSON), sa.bindparam("tried", type_=sa.JSON(none_as_null=True))
)
_FROM = sa.text("""
insert into feed_row (event_id, batch_id, place)
select e.id, :batch, r.place
from unnest(cast(:references as text[]), cast(:places as text[])) as r (reference, place)
join event e on e.source_id = :source and e.reference = r.reference
where e.changed_in = pg_current_xact_id()
on conflict (event_id) do update set batch_id = excluded.batch_id, place = excluded.place
""")
_DEAD = sa.text("""
insert into feed_dead (feed_id, batch_id, place, field, value, reason, said, row, digest)
values (:feed, :batch, :place, :field, :value, :reason, :said, :row, :digest)
on conflict (feed_id, digest) where state = 'open' do nothing
""").bindparams(sa.bindparam("row", type_=sa.JSON(none_as_null=True)))


@dataclass
class Taken:
    """What became of a batch; `known`: it was taken before, and nothing was done."""

    batch: int = 0
    known: bool = False
    rows: int = 0
    new: int = 0
    updated: int = 0
    rejected: int = 0
    compared: int = 0
    mismatch: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[str, Broken]] = field(default_factory=list)

    @property
    def unchanged(self) -> int:
        """Events that were there already, as they are."""
        return self.rows - self.rejected - self.new - self.updated


@dataclass(frozen=True)
class Read:
    """A batch checked and located, not stored."""

    rows: Rows
    located: Located
    broken: list[Broken]
    place: Place
    tried: dict[str, int] | None


class Taker:
    """Takes batches; keeps the units of the maps it needed. Threads may share it.

    Parameters
    ----------
    engine : of the installation itself
    cache_folder : where locate indexes are kept
    """

    def __init__(self, engine: sa.Engine, cache_folder: Path) -> None:
        self.engine = engine
        self._cache = cache_folder
        self._lock = threading.Lock()
        self._places: dict[str, Place] = {}
        self._addresses = address_resolve.Addresses()

    def place(self, feed: Feed) -> Place:
        """Units of the newest version of a feed's map.

        Raises
        ------
        NotFound
            The map has no boundaries any more.
        """
        with self._lock, self.engine.connect() as connection:
            found = self._places.get(feed.pack)
            if found is None or found.version.id != newest_version(connection, feed.pack).id:
                found = self._places[feed.pack] = open_place(connection, feed.pack, self._cache)
            base = None
            if feed.mapping.columns.address and address_base.state(connection, feed.pack):
                base = self._addresses.ground(connection, feed.pack)
        return replace(found, base=base, uncertain={})

    def read(self, feed: Feed, batch: Batch, now: datetime | None = None) -> Read:
        """Check and locate a batch; store nothing."""
        place = self.place(feed)
        stream = batch.stream
        if stream.checker is None:
            stream.checker = RowChecker(
                feed.mapping,
                batch.point,
                place.layout,
                feed.mapping.allowed_kinds(),
                now or datetime.now(UTC),
            )
        rows, broken = stream.checker.check(batch.chunk)
        rows, located, lost = locate_rows(rows, place, feed.mapping)
        rows, located, away = _at_home(rows, located, place, feed)
        tried = feed_diagnosis.tried(batch.chunk, feed.mapping, batch.point, place)
        every = sorted([*broken, *lost, *away], key=lambda one: one.line)
        return Read(rows, located, every, place, tried)

    def take(self, feed: Feed, batch: Batch, account: int | None = None) -> Taken:
        """Store a batch.

        Parameters
        ----------
        account : program that sent it

        Raises
        ------
        Conflict
            Somebody else moved the cursor, removed or paused the feed, or its source says otherwise
            whether events are real. Nothing was stored.
        Unavailable
            The database does not answer. Stored as a whole or not at all.
        """
        done = self.read(feed, batch)
        with transaction(self.engine) as connection:
            self._open(connection, feed, batch)
            taken = self._store(connection, feed, batch, done, account)
            if batch.cursor is not None:
                connection.execute(
                    sa.text("update feed set cursor = :cursor where id = :id").bindparams(
                        sa.bindparam("cursor", type_=sa.JSON)
                    ),
                    {"cursor": batch.cursor, "id": feed.id},
                )
            connection.execute(
                sa.text(
                    "update feed set failures = 0, error = null, looked_at = clock_timestamp() "
                    "where id = :id"
                ),
                {"id": feed.id},
            )
            if done.place.uncertain and not taken.known:
                # texts of a feed are for who reviews its jurisdiction or more, never for a neighbour
                own = [
                    (text, found)
                    for text, found in done.place.uncertain.items()
                    if found.code.startswith(feed.code) or feed.code.startswith(found.code)
                ]
                address_resolve.queue(connection, feed.pack, own)
        return taken

    def store_again(
        self, connection: sa.Connection, feed: Feed, batch: Batch, done: Read, account: int | None
    ) -> Taken:
        """Store the good rows of dead letters inside a transaction of the caller; bury nothing."""
        check_source(connection, feed.pack, feed.mapping)
        whole = replace(done, broken=[])
        return self._store(connection, feed, batch, whole, account)

    def _open(self, connection: sa.Connection, feed: Feed, batch: Batch) -> None:
        row = connection.execute(
            sa.text("select cursor, removed_at, paused from feed where id = :id for update"),
            {"id": feed.id},
        ).one_or_none()
        if row is None or row.removed_at is not None:
            raise Conflict(f"the feed {feed.label} was removed")
        if row.paused:
            raise Conflict(f"the feed {feed.label} is paused")
        if batch.before is not None and row.cursor != batch.before:
            raise Conflict(f"somebody else reads {feed.label} just now")
        check_source(connection, feed.pack, feed.mapping)

    def _store(
        self,
        connection: sa.Connection,
        feed: Feed,
        batch: Batch,
        done: Read,
        account: int | None,
    ) -> Taken:
        rows, located = done.rows, done.located
        reasons = Counter(one.reason for one in done.broken)
        taken = Taken(
            rows=len(rows) + len(done.broken), rejected=len(done.broken), reasons=reasons,
            compared=int(located.both.sum()), mismatch=int(located.mismatch.sum()),
            broken=[(batch.place(one.line), one) for one in done.broken],
        )  # fmt: skip
        newest = rows.occurred_at.max().item().replace(tzinfo=UTC) if len(rows) else None
        number = connection.execute(
            _BEGIN,
            {
                "feed": feed.id, "key": batch.key, "origin": batch.origin[:500], "rows": taken.rows,
                "rejected": taken.rejected, "reasons": dict(reasons), "compared": taken.compared,
                "mismatch": taken.mismatch, "tried": done.tried, "newest": newest,
                "account": account,
            },
        ).scalar()  # fmt: skip
        if number is None:
            return replace(taken, known=True, batch=_known(connection, feed, batch.key))
        taken.batch = number
        if len(rows):
            store = EventStore(self.engine, feed.pack, feed.mapping, done.place.version.id)
            source, (taken.new, taken.updated) = store.put(connection, events_table(rows, located))
            connection.execute(
                _FROM,
                {
                    "batch": number, "source": source, "references": rows.reference.to_pylist(),
                    "places": [batch.place(line) for line in rows.lines.tolist()],
                },
            )  # fmt: skip
        letters, unkept = bury(connection, feed, number, batch, done.broken)
        moved = batch.cursor is not None and batch.before is not None and (
            batch.cursor.get("value") != batch.before.get("value")
            or batch.cursor.get("offsets") != batch.before.get("offsets")
        )  # fmt: skip
        if batch.before is not None and not (moved or taken.new or taken.updated or letters):
            # looked at again and nothing new: no arrival
            connection.execute(sa.text("delete from feed_batch where id = :id"), {"id": number})
        else:
            connection.execute(
                sa.text(
                    "update feed_batch set new = :new, updated = :updated, unkept = :unkept "
                    "where id = :id"
                ),
                {"new": taken.new, "updated": taken.updated, "unkept": unkept, "id": number},
            )
        return taken


def _known(connection: sa.Connection, feed: Feed, key: str) -> int:
    found: int = connection.execute(
        sa.text("select id from feed_batch where feed_id = :feed and key = :key"),
        {"feed": feed.id, "key": key},
    ).scalar_one()
    return found


def _at_home(
    rows: Rows, located: Located, place: Place, feed: Feed
) -> tuple[Rows, Located, list[Broken]]:
    """Rows without those that lie outside the feed's jurisdiction."""
    if not feed.code:
        return rows, located, []
    inside = np.array([True, *(code.startswith(feed.code) for code in place.codes)])
    keep = inside[located.unit]
    broken = [
        Broken(
            int(rows.lines[row]), feed.mapping.columns.code or " ".join(feed.mapping.columns.point or ()),
            "", ELSEWHERE, f"lies outside {feed.code}, to which the feed belongs",
        )
        for row in np.flatnonzero(~keep).tolist()
    ]  # fmt: skip
    return rows.filter(keep), located.filter(keep), broken


def bury(
    connection: sa.Connection, feed: Feed, number: int, batch: Batch, broken: Sequence[Broken]
) -> tuple[int, int]:
    """Keep what could not be used: how many letters are new, and how many were too many to keep.

    A letter that is open already, column for column, is not kept twice.
    """
    if not broken:
        return 0, 0
    count = sa.text("select count(*) from feed_dead where feed_id = :feed and state = 'open'")
    there: int = connection.execute(count, {"feed": feed.id}).scalar_one()
    room = max(0, MOST_DEAD - there)
    at = {line: row for row, line in enumerate(batch.chunk.lines.tolist())}
    letters = []
    for one in broken[:room]:
        row = kept_row(batch.chunk, at[one.line], one) if one.line in at else None
        place = batch.place(one.line)
        letter = {
            "field": _clean(one.column)[:400], "value": _clean(one.value)[:200],
            "reason": one.reason, "said": _clean(event_persons.shown(one.text))[:400], "row": row,
        }  # fmt: skip
        same = [letter, None if row is not None else [number, place]]
        digest = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()
        letters.append({**letter, "feed": feed.id, "batch": number, "place": place,
                        "digest": digest})  # fmt: skip
    if letters:
        connection.execute(_DEAD, letters)
    now: int = connection.execute(count, {"feed": feed.id}).scalar_one()
    return now - there, len(broken) - len(letters)


def _clean(text: str) -> str:
    return text.replace("\0", "")


def kept_row(chunk: Chunk, row: int, broken: Broken) -> dict[str, Any] | None:
    """Keep the mapped columns of a row as JSON; None when something in them looks like a person's."""
    if broken.reason == "person":
        return None
    found: dict[str, Any] = {}
    for name in chunk.table.column_names:
        value = chunk.table.column(name)[row].as_py()
        if isinstance(value, datetime | date | time):
            found[name] = {"time": value.isoformat()}
            continue
        if isinstance(value, float) and not np.isfinite(value):
            value = None
        if value is not None and not isinstance(value, bool | int | float | str):
            value = str(value)
        text = str(value)
        if len(text) > LONGEST_VALUE or "\0" in text or event_persons.looks_like(text):
            return None
        found[name] = value
    return found


def restored(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> pa.Table:
    """Columns `names` of kept rows, times as times again."""
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if any(isinstance(value, dict) for value in values):
            values = [
                datetime.fromisoformat(value["time"]) if isinstance(value, dict) else None
                for value in values
            ]
            columns[name] = pa.array(values)
            continue
        kinds = {type(value) for value in values if value is not None}
        if len(kinds) > 1 or kinds & {bool}:
            values = [None if value is None else str(value) for value in values]
        columns[name] = pa.array(values, None if kinds else pa.string())
    return pa.table(columns)
