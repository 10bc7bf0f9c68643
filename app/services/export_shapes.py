"""Units with their shapes as a stream of Arrow batches: what every file with shapes is written from.

Imports pyarrow. Promises: at no time more than one batch of shapes is held (about `BYTES` of WKB, or
one unit where that is more); only units whose code the transaction's jurisdiction holds; order of ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

BYTES = 8_000_000
"""WKB of a batch."""
ROWS = 5_000
"""Most rows of a batch."""
FETCH = 200
"""Rows the database hands over at once."""
GEOMETRY = "geometry"

UNITS = pa.schema(
    [
        pa.field("code", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("name_en", pa.string()),
        pa.field("level", pa.string(), nullable=False),
        pa.field("parent_code", pa.string()),
        pa.field("approximate", pa.bool_(), nullable=False),
        pa.field("area_km2", pa.float64(), nullable=False),
        pa.field("label_lon", pa.float64(), nullable=False),
        pa.field("label_lat", pa.float64(), nullable=False),
        pa.field(GEOMETRY, pa.binary(), nullable=False),
    ]
)
"""Columns of the units of a boundary version; geometry: WKB MultiPolygon, EPSG:4326, x east."""

UNIT_ROWS = """
select u.code, u.name, u.name_en, u.level, p.code as parent_code, u.approximate, u.area_km2,
  st_x(u.label_point) as label_lon, st_y(u.label_point) as label_lat, st_asbinary(u.geom) as geometry
from unit u left join unit p on p.boundary_version_id = u.boundary_version_id and p.id = u.parent_id
where u.boundary_version_id = :version and u.level = :level and may_see(u.code)
order by u.id
"""
SHAPES = """
select st_asbinary(geom) as geometry from unit
where boundary_version_id = :version and id = any(:ids) and may_see(code) order by id
"""
BOUNDS = """
select min(st_xmin(geom)), min(st_ymin(geom)), max(st_xmax(geom)), max(st_ymax(geom)) from unit
where boundary_version_id = :version and may_see(code)
"""


@dataclass
class Stream:
    """Batches of one schema; what was seen of them is known when they are used up.

    Attributes
    ----------
    bounds : list of float or None
        West south east north of all shapes, degrees; None: there are none.
    rows : int
        Rows handed out so far.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    bounds: list[float] | None
    rows: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Hand out the batches, once."""
        for one in self.batches:
            self.rows += one.num_rows
            yield one

    def reader(self) -> pa.RecordBatchReader:
        """Hand them to a writer that reads Arrow streams."""
        return pa.RecordBatchReader.from_batches(self.schema, iter(self))


def _rows(connection: sa.Connection, query: str, parameters: dict[str, Any]) -> Iterator[Any]:
    return iter(
        connection.execute(
            sa.text(query),
            parameters,
            execution_options={"stream_results": True, "yield_per": FETCH},
        )
    )


def _bounds(
    connection: sa.Connection, condition: str, parameters: dict[str, Any]
) -> list[float] | None:
    found = connection.execute(sa.text(BOUNDS + condition), parameters).one()
    return None if found[0] is None else [float(one) for one in found]


def _grouped(rows: Iterator[Any]) -> Iterator[list[Any]]:
    held: list[Any] = []
    size = 0
    for row in rows:
        more = len(row.geometry)
        if held and (size + more > BYTES or len(held) >= ROWS):
            yield held
            held, size = [], 0
        held.append(row)
        size += more
    if held:
        yield held


def units(connection: sa.Connection, version: int, levels: Sequence[str]) -> Stream:
    """Units of some levels of a boundary version, level by level."""

    def made() -> Iterator[pa.RecordBatch]:
        for level in levels:
            found = _rows(connection, UNIT_ROWS, {"version": version, "level": level})
            for group in _grouped(found):
                columns = list(zip(*group, strict=True))
                columns[-1] = tuple(map(bytes, columns[-1]))
                arrays = [
                    pa.array(values, one.type) for values, one in zip(columns, UNITS, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=UNITS)

    within = {"version": version, "levels": list(levels)}
    return Stream(UNITS, made(), _bounds(connection, "and level = any(:levels)", within))


def with_shapes(
    connection: sa.Connection, version: int, ids: Sequence[int], table: pa.Table
) -> Stream:
    """Join a table of numbers with the shapes of its units.

    Parameters
    ----------
    ids : unit ids of the rows of `table`, ascending
    """
    schema = table.schema.append(pa.field(GEOMETRY, pa.binary(), nullable=False))

    def made() -> Iterator[pa.RecordBatch]:
        start = 0
        for group in _grouped(_rows(connection, SHAPES, {"version": version, "ids": list(ids)})):
            part = table.slice(start, len(group)).combine_chunks().to_batches()[0]
            shapes = pa.array([bytes(row.geometry) for row in group], pa.binary())
            yield pa.RecordBatch.from_arrays([*part.columns, shapes], schema=schema)
            start += len(group)
        assert start == len(table), "every unit of a run has a shape"

    within = {"version": version, "ids": list(ids)}
    return Stream(schema, made(), _bounds(connection, "and id = any(:ids)", within))
