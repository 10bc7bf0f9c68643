"""The cells of a boundary version: which there are, and which units lie in each.

Made once per version and resolution, in a transaction of its own; never changed afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
import sqlalchemy as sa

from app.database import transaction
from app.errors import Invalid, NotFound
from app.services.caches import Caches
from app.services.units import UnitTable
from geo import cells as h3
from geo.cells import Overlap

Ids = npt.NDArray[np.int32]

# tells our lock from other advisory locks; any constant does
LOCK_SPACE = 0x71143


@dataclass(frozen=True, eq=False)
class Chunk:
    """Cells with one ancestor: places `first` … `first + n - 1` of their grid."""

    chunk: int
    first: int
    n: int

    @property
    def slice(self) -> slice:
        """Places in the grid."""
        return slice(self.first, self.first + self.n)


@dataclass(frozen=True, eq=False)
class Grid:
    """The cells of a version at one resolution.

    Attributes
    ----------
    over : rows of its units index `leaves`
    leaves : (u,) int32, ids of the units without children, ascending
    owner : (n,) int32, id of the leaf that holds most of each cell
    """

    version_id: int
    res: int
    digest: str
    over: Overlap
    leaves: Ids
    owner: Ids
    chunks: tuple[Chunk, ...]

    def __len__(self) -> int:
        return len(self.over)


@dataclass(frozen=True, eq=False)
class Places:
    """What drawing and counting by scope need of a grid.

    Attributes
    ----------
    cells : (n,) uint64, ascending
    owner : (n,) int32, id of the leaf that holds most of each cell
    own : (n,) bool, cells the asker may see: all of their units are the asker's
    everything : whether the asker sees the whole map
    """

    version_id: int
    res: int
    digest: str
    cells: h3.Cells
    owner: Ids
    chunks: tuple[Chunk, ...]
    own: npt.NDArray[np.bool_]
    everything: bool


def leaf_ids(table: UnitTable) -> Ids:
    """Ids of the units without children, ascending: together they are the map, each place once."""
    leaf = np.ones(len(table) + 1, bool)
    leaf[table.parent_of] = False
    leaf[0] = False
    return np.flatnonzero(leaf).astype(np.int32)


def expected_cells(connection: sa.Connection, version_id: int, res: int) -> int:
    """About how many cells the map has, from its area; for deciding, not for counting."""
    row = connection.execute(
        sa.text(
            "select sum(area_km2) as area, avg(st_x(label_point)) as x, avg(st_y(label_point)) as y "
            "from unit where boundary_version_id = :version and parent_id is null"
        ),
        {"version": version_id},
    ).one()
    if row.area is None:
        return 0
    return int(row.area / h3.area_km2(row.x, row.y, res))


def cut(cells: h3.Cells, res: int) -> tuple[Chunk, ...]:
    """Chunks of ascending cells."""
    names = h3.ancestors(cells, max(0, res - h3.CHUNK_STEPS))
    edges = np.flatnonzero(np.diff(names)) + 1
    starts = [0, *edges.tolist()]
    ends = [*edges.tolist(), len(cells)]
    return tuple(Chunk(int(names[a]), a, b - a) for a, b in zip(starts, ends, strict=True))


def ensure(engine: sa.Engine, table: UnitTable, res: int) -> Grid:
    """Read the grid of a version, made when it is not there.

    Raises
    ------
    Invalid
        The shapes of the version cannot be covered.
    """
    version_id = table.version_id
    with transaction(engine) as connection:
        connection.execute(
            sa.text("select pg_advisory_xact_lock(:space, :id)"),
            {"space": LOCK_SPACE, "id": version_id * 16 + res},
        )
        there = connection.execute(
            sa.text("select 1 from cell_grid where boundary_version_id = :id and res = :res"),
            {"id": version_id, "res": res},
        ).scalar()
        if there:
            return read(connection, table, res)
        grid = _make(connection, table, res)
        _store(connection, grid, table)
        return grid


def _make(connection: sa.Connection, table: UnitTable, res: int) -> Grid:
    leaves = leaf_ids(table)
    rows = connection.execute(
        sa.text(
            "select st_asbinary(geom) as wkb from unit where boundary_version_id = :version "
            "and id = any(:ids) order by id"
        ),
        {"version": table.version_id, "ids": leaves.tolist()},
    ).scalars()
    shapes = shapely.from_wkb([bytes(one) for one in rows])
    try:
        over = h3.overlap(shapes, res)
    except h3.CellError as error:
        raise Invalid(f"boundary version {table.version_id}: {error}") from error
    owner = leaves[over.owner(np.arange(len(leaves)))]
    digest = hashlib.sha256()
    digest.update(over.cells.astype("<u8").tobytes())
    digest.update("\n".join(table.codes[one - 1] for one in owner.tolist()).encode())
    return Grid(
        table.version_id, res, digest.hexdigest(), over, leaves, owner, cut(over.cells, res)
    )


def _store(connection: sa.Connection, grid: Grid, table: UnitTable) -> None:
    key = {"version": grid.version_id, "res": grid.res}
    connection.execute(
        sa.text("insert into cell_grid values (:version, :res, :digest, :cells)"),
        {**key, "digest": grid.digest, "cells": len(grid)},
    )
    over = grid.over
    rows = []
    for chunk in grid.chunks:
        a, b = int(over.start[chunk.first]), int(over.start[chunk.first + chunk.n])
        start = over.start[chunk.first : chunk.first + chunk.n + 1] - a
        rows.append(
            {
                **key,
                "chunk": chunk.chunk,
                "first": chunk.first,
                "n": chunk.n,
                "cells": over.cells[chunk.slice].astype("<u8").tobytes(),
                "owner": grid.owner[chunk.slice].astype("<i4").tobytes(),
                "start": start.astype("<i4").tobytes(),
                "unit": grid.leaves[over.unit[a:b]].astype("<i4").tobytes(),
                "weight": over.weight[a:b].astype("<f8").tobytes(),
                "km2": over.km2[a:b].astype("<f4").tobytes(),
            }
        )
    connection.execute(
        sa.text(
            "insert into cell_grid_part values (:version, :res, :chunk, :first, :n, :cells, "
            ":owner, :start, :unit, :weight, :km2)"
        ),
        rows,
    )
    connection.execute(
        sa.text("insert into cell_grid_span values (:version, :res, :chunk, :at, :n, :codes)"),
        [
            {
                **key,
                "chunk": chunk.chunk,
                "at": at,
                "n": n,
                "codes": [table.codes[i - 1] for i in ids],
            }
            for chunk in grid.chunks
            for at, n, ids in spans(grid, chunk)
        ],
    )


def spans(grid: Grid, chunk: Chunk) -> Iterator[tuple[int, int, list[int]]]:
    """Cells of a chunk one after the other that lie in the same leaves: place in it, number, ids."""
    over = grid.over
    at, before = 0, None
    for place in range(chunk.n):
        a, b = over.start[chunk.first + place : chunk.first + place + 2].tolist()
        here = over.unit[a:b]
        if before is not None and not np.array_equal(here, before):
            yield at, place - at, grid.leaves[before].tolist()
            at = place
        before = here
    if before is not None:
        yield at, chunk.n - at, grid.leaves[before].tolist()


def read(connection: sa.Connection, table: UnitTable, res: int, chunk: int | None = None) -> Grid:
    """Read a grid, or one chunk of it (a grid of its own; only its places start at 0).

    Raises
    ------
    NotFound
        There is no such grid or chunk.
    """
    rows = connection.execute(
        sa.text(
            "select digest, part.* from cell_grid_part as part "
            "join cell_grid using (boundary_version_id, res) "
            "where boundary_version_id = :version and res = :res "
            "and (cast(:chunk as bigint) is null or chunk = :chunk) order by first"
        ),
        {"version": table.version_id, "res": res, "chunk": chunk},
    ).all()
    if not rows:
        raise NotFound(f"no cells of resolution {res} there")
    leaves = leaf_ids(table)

    def joined(name: str, kind: str) -> npt.NDArray[Any]:
        return np.concatenate([np.frombuffer(getattr(row, name), kind) for row in rows])

    counts = np.concatenate([np.diff(np.frombuffer(row.start, "<i4")) for row in rows])
    over = Overlap(
        res,
        joined("cells", "<u8"),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.searchsorted(leaves, joined("unit", "<i4")).astype(np.int32),
        joined("weight", "<f8"),
        joined("km2", "<f4").astype(float),
    )
    base = rows[0].first
    chunks = tuple(Chunk(row.chunk, row.first - base, row.n) for row in rows)
    return Grid(table.version_id, res, rows[0].digest, over, leaves, joined("owner", "<i4"), chunks)


PLACES = (
    "select boundary_version_id, res, digest, chunk, first, n, part.cells, owner "
    "from cell_grid_part as part join cell_grid using (boundary_version_id, res) "
)


def places(connection: sa.Connection, caches: Caches, digest: str) -> Places:
    """Cells and owners of a grid by its digest, and which the asker may see, kept in memory.

    Raises
    ------
    NotFound
        There is no such grid.
    """

    def make() -> Places:
        rows = connection.execute(
            sa.text(
                PLACES + "where (boundary_version_id, res) = (select boundary_version_id, res "
                "from cell_grid where digest = :digest limit 1) order by first"
            ),
            {"digest": digest},
        ).all()
        if not rows:
            raise NotFound("there are no such cells; read the manifest again")
        chunks = tuple(Chunk(row.chunk, row.first, row.n) for row in rows)
        own, everything = _own(connection, rows[0].boundary_version_id, rows[0].res, chunks)
        return Places(
            rows[0].boundary_version_id,
            rows[0].res,
            digest,
            np.concatenate([np.frombuffer(row.cells, "<u8") for row in rows]),
            np.concatenate([np.frombuffer(row.owner, "<i4") for row in rows]),
            chunks,
            own,
            everything,
        )

    return caches.cells.get(digest, make)


def _own(
    connection: sa.Connection, version_id: int, res: int, chunks: tuple[Chunk, ...]
) -> tuple[npt.NDArray[np.bool_], bool]:
    """Cells the database shows to who asks, (n,), and whether those are all by right."""
    size = chunks[-1].first + chunks[-1].n
    if connection.execute(sa.text("select claimed_all()")).scalar_one():
        return np.ones(size, bool), True
    own = np.zeros(size, bool)
    first = {one.chunk: one.first for one in chunks}
    for row in connection.execute(
        sa.text(
            "select chunk, at, n from cell_grid_span "
            "where boundary_version_id = :version and res = :res"
        ),
        {"version": version_id, "res": res},
    ):
        own[first[row.chunk] + row.at :][: row.n] = True
    return own, False
