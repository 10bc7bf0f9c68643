"""Events with a point, counted per H3 cell, kind and local month.

Read in the same snapshot as the units' counts. All resolutions are counted at once, from the points
themselves, and kept with the run: what is assessed later is assessed from the same events.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.database import raw
from app.services.binary_copy import ColumnStream
from app.services.counts import EventCounts
from geo import cells as h3

Floats = npt.NDArray[np.float64]

POINTS = """
copy (
  select st_x(geom), st_y(geom), (kind_list.place - 1)::int4,
    (12 * extract(year from local_time) + extract(month from local_time) - 1)::int4
  from event
  join event_source on event_source.id = source_id and event_source.pack = %(pack)s
  join unnest(%(kinds)s) with ordinality as kind_list (kind, place) on kind_list.kind = event.kind
  cross join lateral (select occurred_at at time zone %(zone)s as local_time) as clock
  where geom is not null
) to stdout (format binary)
"""

COLUMNS = (("<u8", "cell"), ("u1", "kind"), ("<u2", "month"), ("<u4", "events"))


@dataclass(frozen=True, eq=False)
class Points:
    """Events with a point, (m,) each: degrees, index of the kind, month from the first month."""

    lon: Floats
    lat: Floats
    kind: npt.NDArray[np.uint8]
    month: npt.NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.lon)


@dataclass(frozen=True, eq=False)
class CellCounts:
    """Counted events, ordered by cell, kind, month: (m,) each, no row twice, none with 0."""

    cell: h3.Cells
    kind: npt.NDArray[np.uint8]
    month: npt.NDArray[np.uint16]
    events: npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.cell)

    def take(self, rows: slice | npt.NDArray[np.bool_]) -> CellCounts:
        """Return some of the rows."""
        return CellCounts(self.cell[rows], self.kind[rows], self.month[rows], self.events[rows])


def read_points(
    connection: sa.Connection, pack: str, kinds: Sequence[str], zone: str, counts: EventCounts
) -> Points:
    """Read the events with a point that `counts` counted: 19 bytes each."""
    parts: list[Points] = []

    def keep(columns: list[npt.NDArray[Any]]) -> None:
        lon, lat, kind, month = columns
        since = (month - counts.first_month).astype(np.uint16)
        parts.append(Points(lon, lat, kind.astype(np.uint8), since))

    stream = ColumnStream((">f8", ">f8", ">i4", ">i4"), keep)
    with raw(connection).cursor() as cursor:
        query = cursor.mogrify(POINTS, {"pack": pack, "kinds": list(kinds), "zone": zone})
        cursor.copy_expert(query.decode(), stream)
    stream.finish()
    if not parts:
        none = np.zeros(0)
        return Points(none, none, none.astype(np.uint8), none.astype(np.uint16))
    return Points(
        np.concatenate([part.lon for part in parts]),
        np.concatenate([part.lat for part in parts]),
        np.concatenate([part.kind for part in parts]),
        np.concatenate([part.month for part in parts]),
    )


def count(points: Points, res: int) -> CellCounts:
    """Count points by cell of one resolution."""
    cell = h3.cells(points.lon, points.lat, res)
    order = np.lexsort((points.month, points.kind, cell))
    cell, kind, month = cell[order], points.kind[order], points.month[order]
    if not len(cell):
        return CellCounts(cell, kind, month, np.zeros(0, np.uint32))
    new = np.ones(len(cell), bool)
    new[1:] = (np.diff(cell) != 0) | (np.diff(kind) != 0) | (np.diff(month) != 0)
    first = np.flatnonzero(new)
    events = np.diff(np.append(first, len(cell))).astype(np.uint32)
    return CellCounts(cell[first], kind[first], month[first], events)


def pack(counts: CellCounts) -> bytes:
    """Bytes of `run_cell_count.counts`."""
    columns = (getattr(counts, name).astype(kind).tobytes() for kind, name in COLUMNS)
    return zlib.compress(b"".join(columns), 6)


def unpack(blob: bytes | memoryview) -> CellCounts:
    """Inverse of `pack`."""
    data = zlib.decompress(blob)
    size = sum(np.dtype(kind).itemsize for kind, _ in COLUMNS)
    n = len(data) // size
    columns, at = {}, 0
    for kind, name in COLUMNS:
        columns[name] = np.frombuffer(data, kind, n, at)
        at += n * np.dtype(kind).itemsize
    return CellCounts(**columns)


def chunked(counts: CellCounts, res: int) -> Iterator[tuple[int, CellCounts]]:
    """Cut into chunks by ancestor: (chunk, its counts)."""
    if not len(counts):
        return
    names = h3.ancestors(counts.cell, max(0, res - h3.CHUNK_STEPS))
    edges = [0, *(np.flatnonzero(np.diff(names)) + 1).tolist(), len(names)]
    for a, b in itertools.pairwise(edges):
        yield int(names[a]), counts.take(slice(a, b))


def store(connection: sa.Connection, run: int, points: Points) -> None:
    """Keep the counts of all resolutions with a run."""
    for res in h3.RESOLUTIONS:
        rows = [
            {
                "run": run,
                "res": res,
                "chunk": chunk,
                "events": int(part.events.sum()),
                "counts": pack(part),
            }
            for chunk, part in chunked(count(points, res), res)
        ]
        if rows:
            connection.execute(
                sa.text("insert into run_cell_count values (:run, :res, :chunk, :events, :counts)"),
                rows,
            )


def load(connection: sa.Connection, run: int, res: int, chunk: int | None = None) -> CellCounts:
    """Read the counts of a run at one resolution, of one chunk or all."""
    blobs = connection.execute(
        sa.text(
            "select counts from run_cell_count where run_id = :run and res = :res "
            "and (cast(:chunk as bigint) is null or chunk = :chunk)"
        ),
        {"run": run, "res": res, "chunk": chunk},
    ).scalars()
    parts = [unpack(blob) for blob in blobs]
    if not parts:
        return unpack(zlib.compress(b""))
    parts.sort(key=lambda part: int(part.cell[0]))
    return CellCounts(
        *(np.concatenate([getattr(part, name) for part in parts]) for _, name in COLUMNS)
    )
