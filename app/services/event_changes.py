"""Events of a pack as columns: all of them at one moment, or what changed since another.

Imports `geo.cube.columns` and `event_fresh`, never a snapshot. Promises: what is read and what changed since are two
parts of one whole, cut by the transaction that wrote a row, so that the order in which transactions
commit cannot lose or double an event; a row is read in one transaction with what it is cut by.

An event of a pack is one whose source is the pack's. Its unit counts when it was located in the
boundary version asked for; located in another one, it keeps its point and has no unit.
"""

# ruff: noqa: S608 - the pieces of the statements are constants of this file

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.database import raw, transaction
from app.errors import Invalid
from app.services.binary_copy import ColumnStream
from app.services.event_fresh import FreshPart, FreshRows
from geo.cube.columns import Columns, ColumnsError

#: `Columns.located`; "elsewhere": its unit is one of another boundary version
LOCATED = ("none", "code", "point", "address", "elsewhere")
MOST_KINDS = 256
_SECONDS_TO_2000 = 946_684_800  # PostgreSQL counts microseconds from 2000-01-01
_TYPES = (">i2", ">i8", ">i4", ">i4", ">i4", ">f8", ">f8")

# an unknown kind is -1
_FIELDS = """
  {row}.occurred_at, coalesce(array_position(%(kinds)s::text[], {row}.kind), 0) - 1,
  case when {row}.boundary_version_id = %(version)s then coalesce({row}.unit_id, 0) else 0 end,
  case when {row}.unit_id is not null and {row}.boundary_version_id <> %(version)s then 4
       else array_position(%(located)s::text[], {row}.located_by) - 1 end,
  coalesce(st_x({row}.geom), 'nan'), coalesce(st_y({row}.geom), 'nan')
"""
_ALL = f"""
copy (
  select 1::int2, {_FIELDS.format(row="e")}
  from event e join event_source s on s.id = e.source_id and s.pack = %(pack)s
  where (e.changed_in < pg_snapshot_xmin(%(taken)s::pg_snapshot)
         or pg_visible_in_snapshot(e.changed_in, %(taken)s::pg_snapshot))
    and e.changed_in <> all(%(fresh)s::xid8[])
) to stdout (format binary)
"""
_ADDED = """
  from event e join event_source s on s.id = e.source_id and s.pack = %(pack)s
  where e.changed_in >= pg_snapshot_xmin(%(since)s::pg_snapshot)
    and not pg_visible_in_snapshot(e.changed_in, %(since)s::pg_snapshot)
    and e.changed_in <> all(%(fresh)s::xid8[])
"""
# what came and went since was never counted
_REMOVED = """
  from event_removed r
  where r.pack = %(pack)s and r.removed_in >= pg_snapshot_xmin(%(since)s::pg_snapshot)
    and not pg_visible_in_snapshot(r.removed_in, %(since)s::pg_snapshot)
    and pg_visible_in_snapshot(r.changed_in, %(since)s::pg_snapshot)
"""
_CHANGED = f"""
copy (
  select 1::int2, {_FIELDS.format(row="e")} {_ADDED}
  union all
  select -1::int2, {_FIELDS.format(row="r")} {_REMOVED}
) to stdout (format binary)
"""
_NEW_KINDS = f"""
select distinct kind from (select e.kind {_ADDED} union all select r.kind {_REMOVED}) as changed
where kind <> all(%(kinds)s::text[])
"""
# one look at a table that may have been written a moment ago, for both questions
_KINDS = """
select written::text, kind, rows from (
  select case when e.changed_in = any(%(written)s::xid8[]) then e.changed_in end as written,
    e.kind, count(*) as rows
  from event e join event_source s on s.id = e.source_id and s.pack = %(pack)s
  group by 1, 2
) as counted
"""
_SIZE = f"""
select count(*) from (
  (select 1 {_ADDED} limit %(limit)s) union all (select 1 {_REMOVED} limit %(limit)s)
) as changed
"""


@dataclass(frozen=True)
class Moment:
    """What a transaction sees, and where.

    Attributes
    ----------
    taken : str
        pg_snapshot.
    server : int
        System identifier of the server that counts its transactions.
    at : datetime
        When.
    """

    taken: str
    server: int
    at: datetime


@dataclass(frozen=True)
class Everything:
    """All events of a pack at a moment; `kinds` are those that occur, in code point order."""

    moment: Moment
    kinds: tuple[str, ...]
    rows: Columns


@dataclass(frozen=True)
class Changes:
    """What changed since a moment.

    Attributes
    ----------
    taken : str
        pg_snapshot up to which changes were read: begin there next time.
    kinds : tuple of str
        The kinds given, then the new ones.
    added, removed : Columns
        Rows to add and to take away; a corrected event is one of both.
    """

    taken: str
    kinds: tuple[str, ...]
    added: Columns = field(default_factory=Columns.empty)
    removed: Columns = field(default_factory=Columns.empty)

    def __len__(self) -> int:
        return len(self.added) + len(self.removed)


def begin(connection: sa.Connection) -> Moment:
    """Fix what the transaction of `connection` sees from now to its end: repeatable read.

    It must be the transaction's first statement.
    """
    connection.exec_driver_sql("set transaction isolation level repeatable read, read only")
    row = connection.exec_driver_sql(
        "select pg_current_snapshot()::text, (select system_identifier from pg_control_system()), "
        "now()"
    ).one()
    return Moment(row[0], int(row[1]), row[2])


def read_all(  # noqa: PLR0917 - of what, and how it goes
    connection: sa.Connection,
    pack: str,
    version: int,
    progress: Callable[[int], None] | None = None,
    extra_kinds: Sequence[str] = (),
    fresh: FreshRows | None = None,
) -> Everything:
    """Read every event of a pack.

    Parameters
    ----------
    connection : in a transaction that nothing was done in yet
    pack : str
    version : int
        Boundary version whose units count.
    progress : callable, optional
        Called with the rows read so far.
    extra_kinds : sequence of str
        Kinds to name even when no event has them.
    fresh : FreshRows, optional
        Rows that were just stored: those of them that are there as they were stored are taken from
        it, not from the server.

    Raises
    ------
    Invalid
        More than 256 kinds, or a time outside the years 1 to 9999.
    """
    moment = begin(connection)
    written = [] if fresh is None else fresh.written((pack, version))
    there: Counter[int] = Counter()
    found: dict[str, set[int]] = {}
    for one, kind, many in connection.exec_driver_sql(_KINDS, {"pack": pack, "written": written}):
        found.setdefault(kind, set()).add(int(one or 0))
        there[int(one or 0)] += many
    del there[0]
    part = FreshPart() if fresh is None else fresh.part(there)
    kinds = tuple(sorted({*found, *extra_kinds}))
    _check_kinds(pack, kinds)
    values = {"pack": pack, "version": version, "taken": moment.taken, "fresh": part.texts}
    rows = Columns.empty()
    if set().union(*found.values()) - set(part.written):
        _, rows = _copy(connection, _ALL, values | {"kinds": list(kinds)}, progress)
    if part.written:
        rows = _joined(rows, part.read(kinds))
    return Everything(moment, kinds, rows)


def _joined(rows: Columns, more: Columns) -> Columns:
    return Columns.concat([rows, more]) if len(rows) else more


def read_changes(
    connection: sa.Connection,
    pack: str,
    version: int,
    *,
    since: str,
    taken: str,
    kinds: tuple[str, ...],
    fresh: FreshRows | None = None,
) -> Changes:
    """Read what changed since `since` (a pg_snapshot) for a pack.

    Parameters
    ----------
    connection : in a repeatable read transaction that sees `taken`
    kinds : names the kinds of the rows; kinds that are not there are added at the end
    fresh : see `read_all`

    Raises
    ------
    Invalid
        More than 256 kinds, or a time outside the years 1 to 9999.
    """
    part = FreshPart()
    if fresh is not None:
        part = fresh.stored(connection, (pack, version), since)
    values = {
        "pack": pack, "version": version, "since": since, "kinds": list(kinds),
        "fresh": part.texts,
    }  # fmt: skip
    sign, rows = _copy(connection, _CHANGED, values, None, unknown_kinds=True)
    if rows is None or part.kinds - set(kinds):
        new = {*connection.exec_driver_sql(_NEW_KINDS, values).scalars(), *part.kinds}
        kinds = (*kinds, *sorted(new - set(kinds)))
        _check_kinds(pack, kinds)
        sign, rows = _copy(connection, _CHANGED, values | {"kinds": list(kinds)}, None)
    if not len(rows) and not part.written:
        return Changes(taken, kinds)
    added = _joined(rows.take(sign > 0), part.read(kinds))
    return Changes(taken, kinds, added, rows.take(sign < 0))


def count_changes(connection: sa.Connection, pack: str, since: str, limit: int) -> int:
    """Rows that changed since a pg_snapshot; counting ends at `limit` added and as many removed."""
    values = {"pack": pack, "since": since, "limit": limit, "fresh": []}
    return cast("int", connection.exec_driver_sql(_SIZE, values).scalar_one())


def _check_kinds(pack: str, kinds: Sequence[str]) -> None:
    if len(kinds) > MOST_KINDS:
        raise Invalid(f"{pack} has {len(kinds)} kinds of events; at most {MOST_KINDS} are counted")


def _copy(
    connection: sa.Connection,
    query: str,
    values: dict[str, Any],
    progress: Callable[[int], None] | None,
    *,
    unknown_kinds: bool = False,
) -> tuple[npt.NDArray[np.int16], Any]:
    """Sign and columns of a COPY; None for the columns when a kind is unknown and may be."""
    parts: list[list[npt.NDArray[Any]]] = [[] for _ in _TYPES]
    state = {"rows": 0, "unknown": False}

    def take(block: list[npt.NDArray[Any]]) -> None:
        sign, at, kind, unit, located, lon, lat = block
        state["unknown"] |= bool((kind < 0).any())
        # downward, before 2000 too
        time = at // 1_000_000 + _SECONDS_TO_2000
        for part, column in zip(
            parts,
            (sign, time, kind.astype(np.uint8), unit, located.astype(np.uint8), lon, lat),
            strict=True,
        ):
            part.append(column)
        state["rows"] += len(sign)
        if progress:
            progress(state["rows"])

    stream = ColumnStream(_TYPES, take)
    with raw(connection).cursor() as cursor:
        text = cursor.mogrify(query, {**values, "located": list(LOCATED)})
        cursor.copy_expert(text.decode(), stream)
    stream.finish()
    if state["unknown"]:
        if not unknown_kinds:
            raise AssertionError("a kind appeared within one transaction")
        return np.zeros(0, np.int16), None
    columns: list[npt.NDArray[Any]] = []
    for part, kind in zip(parts, ("i2", "i8", "u1", "i4", "u1", "f8", "f8"), strict=True):
        columns.append(np.concatenate(part) if part else np.zeros(0, kind))
        part.clear()  # one column at a time is there twice
    sign, time, kind_of, unit, located, lon, lat = columns
    try:
        return sign, Columns(lon, lat, time, kind_of, unit, located)
    except ColumnsError as error:
        raise Invalid(f"the events of {values['pack']} cannot be counted: {error}") from error


def adopt(engine: sa.Engine) -> int:
    """Give rows of another server's counting (a restored dump) to this one's; return how many.

    A dump keeps the numbers of the transactions that wrote its rows. Those that lie ahead of this
    server's count would stay "changed since" for ever; and what was removed there is not here.
    """
    ahead = "pg_snapshot_xmax(pg_current_snapshot())"
    with engine.connect() as connection:
        found = connection.exec_driver_sql(
            f"select exists (select from event where changed_in >= {ahead}) "
            f"or exists (select from event_removed where removed_in >= {ahead})"
        ).scalar()
    if not found:
        return 0
    with transaction(engine) as connection:
        connection.exec_driver_sql("lock table event in share row exclusive mode")
        connection.exec_driver_sql("alter table event disable trigger user")
        changed = connection.exec_driver_sql(
            f"update event set changed_in = pg_current_xact_id() where changed_in >= {ahead} "
            "and changed_in <> pg_current_xact_id()"
        ).rowcount
        connection.exec_driver_sql(f"delete from event_removed where removed_in >= {ahead}")
        connection.exec_driver_sql("alter table event enable trigger user")
    return int(changed)
