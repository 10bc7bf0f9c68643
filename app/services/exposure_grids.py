"""Pixels of imported rasters, kept by unit: written with an import, read to weigh the units an area cuts.

Imports `geo.raster_grid` and the database. Promises: what an import keeps waits in a file, not in memory,
and is stored with its values or not at all; the same raster again changes nothing; the web reads only
units of the claimed jurisdiction, those it has not read lately, in one question.
"""

from __future__ import annotations

import csv
import hashlib
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import numpy as np
import sqlalchemy as sa

from app.database import raw
from app.services.caches import Caches
from geo.raster_grid import Plane, UnitGrid

_ROOM = """
create temporary table incoming_grid on commit drop as
select unit_id, code, first_column, first_row, factor, wide, total, amounts
from exposure_grid_unit with no data
"""
_COPY = """
copy incoming_grid (unit_id, code, first_column, first_row, factor, wide, total, amounts)
from stdin (format csv)
"""
_TAKE = sa.text("""
insert into exposure_grid_unit
  (grid_id, unit_id, code, first_column, first_row, factor, wide, total, amounts)
select :id, unit_id, code, first_column, first_row, factor, wide, total, amounts
from incoming_grid where unit_id <> all(:without)
""")
#: characters kept in memory before they go to a file
_SPOOL = 8 << 20


@dataclass(frozen=True)
class Raster:
    """A raster whose pixels are kept."""

    id: int
    measure: str
    as_of: date
    source: str
    plane: Plane


class Keeper:
    """What an import keeps, one unit after the other; `store` writes all of it.

    Parameters
    ----------
    ids, codes : of the units, in the order in which `geo.raster.sum_by_area` counts them
    """

    def __init__(self, ids: Sequence[int], codes: Sequence[str]) -> None:
        self._ids, self._codes = ids, codes
        self._plane: Plane | None = None
        self._digest = hashlib.sha256()
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by `close`
            _SPOOL, "w+", encoding="utf-8", newline=""
        )
        self._writer = csv.writer(self._file)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def keep(self, plane: Plane, number: int, grid: UnitGrid) -> None:
        """Take what a unit has of the raster."""
        self._plane = plane
        body = grid.amounts.astype("<f4").tobytes()
        head = [
            self._ids[number], self._codes[number], grid.column, grid.row, grid.factor,
            grid.amounts.shape[1], repr(grid.total),
        ]  # fmt: skip
        self._digest.update(repr(head).encode() + body)
        self._writer.writerow([*head, "\\x" + zlib.compress(body, 6).hex()])

    def store(
        self,
        connection: sa.Connection,
        *,
        version: int,
        measure: str,
        as_of: date,
        source: str,
        without: Sequence[int],
    ) -> None:
        """Store the raster of a measure and day in place of the former one.

        Parameters
        ----------
        version : id of the boundary version
        without : ids of units that got no value
        """
        if self._plane is None:
            return
        plane = self._plane
        self._digest.update(repr((plane, sorted(without))).encode())
        given = {"version": version, "measure": measure, "as_of": as_of, "source": source,
                 "digest": self._digest.hexdigest()}  # fmt: skip
        # two imports of one raster wait for each other
        connection.exec_driver_sql("lock table exposure_grid in share row exclusive mode")
        same = connection.execute(
            sa.text(
                "update exposure_grid set source = :source where boundary_version_id = :version "
                "and measure = :measure and as_of = :as_of and digest = :digest"
            ),
            given,
        )
        if same.rowcount:
            return
        connection.execute(
            sa.text(
                "delete from exposure_grid where boundary_version_id = :version "
                "and measure = :measure and as_of = :as_of"
            ),
            given,
        )
        number = connection.execute(
            sa.text(
                "insert into exposure_grid "
                "(boundary_version_id, measure, as_of, source, crs, transform, digest) values "
                "(:version, :measure, :as_of, :source, :crs, :transform, :digest) returning id"
            ),
            {**given, "crs": plane.crs, "transform": list(plane.transform)},
        ).scalar_one()
        connection.exec_driver_sql(_ROOM)
        self._file.seek(0)
        with raw(connection).cursor() as cursor:
            cursor.copy_expert(_COPY, self._file)
        connection.execute(_TAKE, {"id": number, "without": list(without)})


def rasters(
    connection: sa.Connection, caches: Caches, version: int, measures: Sequence[str], on: date
) -> dict[str, Raster]:
    """Newest raster of each measure that describes no later day than `on`, by measure."""
    rows = connection.execute(
        sa.text(
            "select distinct on (measure) id, measure from exposure_grid where "
            "boundary_version_id = :version and measure = any(:measures) and as_of <= :on "
            "order by measure, as_of desc"
        ),
        {"version": version, "measures": list(measures), "on": on},
    ).all()
    return {
        row.measure: caches.rasters.get(row.id, partial(_raster, connection, row.id))
        for row in rows
    }


def _raster(connection: sa.Connection, number: int) -> Raster:
    row = connection.execute(
        sa.text(
            "select measure, as_of, source, crs, transform from exposure_grid where id = :number"
        ),
        {"number": number},
    ).one()
    a, b, c, d, e, f = row.transform
    return Raster(number, row.measure, row.as_of, row.source, Plane(row.crs, (a, b, c, d, e, f)))


def lately(caches: Caches, raster: Raster, ids: Sequence[int]) -> dict[int, UnitGrid | None]:
    """Units among `ids` that were read lately; None: the raster has nothing there."""
    found = caches.unit_grids.among([(raster.id, one) for one in ids])
    return {unit: grid for (_, unit), grid in found.items()}


def read(
    connection: sa.Connection, caches: Caches, raster: Raster, ids: Sequence[int]
) -> dict[int, UnitGrid | None]:
    """Read units; None: the raster has nothing there, or it may not be seen."""
    found: dict[int, UnitGrid | None] = dict.fromkeys(ids)
    rows = connection.execute(
        sa.text(
            "select unit_id, first_column, first_row, factor, wide, total, amounts "
            "from exposure_grid_unit where grid_id = :grid and unit_id = any(:ids)"
        ),
        {"grid": raster.id, "ids": list(ids)},
    )
    for row in rows:
        amounts = np.frombuffer(zlib.decompress(row.amounts), "<f4").reshape(-1, row.wide)
        found[row.unit_id] = UnitGrid(
            row.first_column, row.first_row, row.factor, amounts.astype(np.float32), row.total
        )
    for unit, grid in found.items():
        caches.unit_grids.put((raster.id, unit), grid)
    return found
