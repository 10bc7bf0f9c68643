"""Located events into the table `event`. Imports pyarrow, numpy and the database.

Promises: source + reference decide, so that storing the same events again changes nothing; a batch
is one transaction; events nobody has seen before are copied straight into the table, and where some
are there already (or two imports of one feed meet) the batch is merged instead.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg2.errors
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from app.database import raw, transaction
from app.services.binary_copy import HEADER, TRAILER, arrow_rows
from app.services.event_fresh import FreshRows
from app.services.event_mapping import EventMapping
from geo.binning import LOCATED_BY

Floats = npt.NDArray[np.float64]

#: columns of a table of events to be stored, and how they stand in `event`
EVENTS = pa.schema(
    [
        pa.field("reference", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("occurred_at", pa.timestamp("us")),
        pa.field("located", pa.uint8()),
        pa.field("mismatch", pa.bool_()),
        pa.field("unit", pa.int32()),
        pa.field("code", pa.string()),
        pa.field("address", pa.string()),
        pa.field("lon", pa.float64()),
        pa.field("lat", pa.float64()),
    ]
)

_COLUMNS = (
    "reference, kind, occurred_at, located_by, mismatch, unit_id, code, address, geom, "
    "source_id, boundary_version_id"
)
_COPY = f"copy event ({_COLUMNS}) from stdin (format binary)"
_INCOMING = """
create temporary table if not exists incoming (
  reference text collate "C" not null, kind text not null, occurred_at timestamptz not null,
  located_by text not null, mismatch boolean not null, unit_id int, code text, address text,
  geom geometry(Point, 4326), source_id int not null, boundary_version_id int not null
) on commit delete rows
"""
_SENT = 1 << 18  # bytes handed to the driver at once
_TRIES = 10
_COPY_INCOMING = f"copy incoming ({_COLUMNS}) from stdin (format binary)"
# ordered, so that two imports of one feed at once wait for each other instead of deadlocking
_MERGE = sa.text("""
with stored as (
  insert into event as e (source_id, reference, kind, occurred_at, located_by, mismatch,
                          boundary_version_id, unit_id, code, address, geom)
  select source_id, reference, kind, occurred_at, located_by, mismatch, boundary_version_id,
         unit_id, code, address, geom
  from incoming order by reference
  on conflict (source_id, reference) do update
    set kind = excluded.kind, occurred_at = excluded.occurred_at,
        located_by = excluded.located_by, mismatch = excluded.mismatch,
        boundary_version_id = excluded.boundary_version_id, unit_id = excluded.unit_id,
        code = excluded.code, address = excluded.address, geom = excluded.geom,
        imported_at = now()
    where (e.kind, e.occurred_at, e.located_by, e.mismatch, e.boundary_version_id, e.unit_id,
           e.code, e.address)
          is distinct from
          (excluded.kind, excluded.occurred_at, excluded.located_by, excluded.mismatch,
           excluded.boundary_version_id, excluded.unit_id, excluded.code, excluded.address)
       or st_asbinary(e.geom) is distinct from st_asbinary(excluded.geom)
  returning (xmax = 0) as is_new
)
select count(*) filter (where is_new), count(*) filter (where not is_new) from stored
""")
_SOURCE = sa.text(
    "insert into event_source (pack, name, simulated, crs, time_zone, mapping) "
    "values (:pack, :name, :simulated, :crs, :zone, :mapping) "
    "on conflict (pack, name) do update set crs = excluded.crs, "
    "time_zone = excluded.time_zone, mapping = excluded.mapping returning id"
).bindparams(sa.bindparam("mapping", type_=sa.JSON))


class EventStore:
    """Stores the events of one feed, also from several threads.

    Parameters
    ----------
    engine : sa.Engine
    pack : str
    mapping : EventMapping
        Names and describes the source.
    version : int
        Boundary version that the units belong to.
    fresh : FreshRows, optional
        Gets the batches that were new as a whole.
    """

    def __init__(
        self,
        engine: sa.Engine,
        pack: str,
        mapping: EventMapping,
        version: int,
        fresh: FreshRows | None = None,
    ) -> None:
        self.engine = engine
        self.pack = pack
        self.mapping = mapping
        self.version = version
        self.fresh = fresh
        self.source: int | None = None
        # as long as everything is new; one lost attempt costs what it had copied
        self._direct = False

    def store(self, events: pa.Table, also: sa.Executable | None = None) -> tuple[int, int]:
        """Store a batch: how many events were new and how many were changed.

        Parameters
        ----------
        events : pa.Table
            Columns of `EVENTS`, no reference twice.
        also : sa.Executable, optional
            A statement of the same transaction; it gets `:source`.
        """
        with transaction(self.engine) as connection:
            source, stored = self.put(connection, events)
            if also is not None:
                connection.execute(also, {"source": source})
        self.source = source
        return stored

    def put(self, connection: sa.Connection, events: pa.Table) -> tuple[int, tuple[int, int]]:
        """Store a batch inside a transaction of the caller: the source, how many new and changed."""
        source = self.source or self._make_source(connection)
        text = copy_rows(events, source, self.version)
        stored = self._copy(connection, text) if self._direct else None
        if stored is None:
            stored = _merge(connection, text)
            self._direct = stored == (len(events), 0)
        if self.fresh is not None and stored == (len(events), 0):
            self.fresh.add(_written(connection), (self.pack, self.version), events)
        return source, stored

    def _copy(self, connection: sa.Connection, text: io.BytesIO) -> tuple[int, int] | None:
        """Copy into the table; None when an event is there already, and nothing is done."""
        try:
            with connection.begin_nested(), raw(connection).cursor() as cursor:
                cursor.copy_expert(_COPY, text, _SENT)
                return int(cursor.rowcount), 0
        except (psycopg2.errors.UniqueViolation, psycopg2.errors.DeadlockDetected):
            text.seek(0)
            return None

    def _make_source(self, connection: sa.Connection) -> int:
        mapping = self.mapping
        source: int = connection.execute(
            _SOURCE,
            {
                "pack": self.pack, "name": mapping.source, "simulated": mapping.simulated,
                "crs": mapping.crs, "zone": mapping.time_zone, "mapping": mapping.body(),
            },
        ).scalar_one()  # fmt: skip
        self._direct = not connection.scalar(
            sa.text("select exists (select from event where source_id = :s)"), {"s": source}
        )
        return source


def _written(connection: sa.Connection) -> int:
    """Ask for the number of the transaction, as it stands in `event.changed_in`."""
    return int(connection.exec_driver_sql("select pg_current_xact_id()::text").scalar_one())


def _merge(connection: sa.Connection, text: io.BytesIO) -> tuple[int, int]:
    """Insert what is new and correct what differs."""
    for left in reversed(range(_TRIES)):
        text.seek(0)
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(_INCOMING)
                with raw(connection).cursor() as cursor:
                    cursor.copy_expert(_COPY_INCOMING, text, _SENT)
                new, updated = connection.execute(_MERGE).one()
                return int(new), int(updated)
        except sa.exc.OperationalError as error:
            # another import copies the same events in an order of its own: it goes first
            if left == 0 or not isinstance(error.orig, psycopg2.errors.DeadlockDetected):
                raise
    raise AssertionError


def copy_rows(events: pa.Table, source: int, version: int) -> io.BytesIO:
    """Events as a binary COPY."""
    n = len(events)
    unit = events["unit"].combine_chunks()
    lon, lat = (events[name].to_numpy() for name in ("lon", "lat"))
    columns = [
        events["reference"],
        events["kind"],
        events["occurred_at"],
        pa.array(LOCATED_BY).take(events["located"].combine_chunks()),
        events["mismatch"],
        pc.if_else(pc.equal(unit, 0), pa.scalar(None, pa.int32()), unit),
        events["code"],
        events["address"],
        points(lon, lat),
        _same(source, n),
        _same(version, n),
    ]
    return io.BytesIO(b"".join((HEADER, arrow_rows(columns), TRAILER)))


def _same(value: int, n: int) -> Any:
    return pa.array(np.full(n, value, dtype=np.int32))


#: little endian, a point with an SRID, 4326
_POINT = np.frombuffer(b"\x01\x01\x00\x00\x20\xe6\x10\x00\x00", dtype=np.uint8)


def points(lon: Floats, lat: Floats) -> pa.Array:
    """Points (n,) as PostGIS takes them, EWKB of 25 bytes; null where nan.

    >>> points(np.array([0.0]), np.array([2.0]))[0].as_py().hex()
    '0101000020e610000000000000000000000000000000000040'
    """
    n = len(lon)
    table = np.empty((n, 25), dtype=np.uint8)
    table[:, :9] = _POINT
    table[:, 9:17] = np.ascontiguousarray(lon, dtype="<f8").view(np.uint8).reshape(n, 8)
    table[:, 17:] = np.ascontiguousarray(lat, dtype="<f8").view(np.uint8).reshape(n, 8)
    kind = pa.binary(25)
    array = pa.FixedSizeBinaryArray.from_buffers(kind, n, [None, pa.py_buffer(table)])
    given = np.isfinite(lon) & np.isfinite(lat)
    return array if given.all() else pc.if_else(pa.array(given), array, pa.scalar(None, kind))
