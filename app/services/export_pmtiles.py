"""PMTiles of a boundary version or a coloured run, cut from the shapes the tiles are made of.

Promises: a jurisdiction's file holds its own units only; every unit is in every zoom of its level with
one label; shapes are read block by block, so memory does not grow with the map (the numbers of the
units of a level and the directory are held); tiles come in the archive's own order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
import sqlalchemy as sa

from app.errors import NotFound
from tiles import archive, cut, geometry, levels, tilejson
from tiles.levels import ZoomRange
from tiles.mvt import POINT, POLYGON, Columns, Value, layer

BLOCK_BYTES = 16_000_000
"""Shapes (as the database stores them) that are read at once; a single tile may have more."""
Tile = tuple[int, int, int]

ZOOMS = "select min_zoom, max_zoom from tile_archive where boundary_version_id = :version and level = :level"
LABELS = """
select id, st_x(label_point) as lon, st_y(label_point) as lat, st_xmin(geom) as west,
  st_ymin(geom) as south, st_xmax(geom) as east, st_ymax(geom) as north
from unit where boundary_version_id = :version and level = :level and id = any(:ids)
  and may_see(code) order by id
"""
BOX = "g.geom && st_makeenvelope(:west, :south, :east, :north, 3857)"
OWN = """
from tile_geometry g join unit u on u.boundary_version_id = g.boundary_version_id and u.id = g.unit_id
where g.boundary_version_id = :version and g.level = :level and g.zoom = :zoom and may_see(u.code)
"""
SIZE = f"select coalesce(sum(pg_column_size(g.geom)), 0) {OWN} and {BOX}"
SHAPES = f"""
select g.unit_id, st_asbinary(g.geom) as shape {OWN} and ({BOX} or g.unit_id = any(:ids))
order by g.unit_id
"""


@dataclass(frozen=True)
class TileLayer:
    """One level as it goes into the file: a layer of polygons and one of labels.

    Parameters
    ----------
    level : level of the units
    polygons, labels : names of the two layers
    ids : (n,) units that are shown, ascending
    properties : column → value per unit; None: the unit has not this property
    fields : column → what it is
    """

    level: str
    polygons: str
    labels: str
    ids: npt.NDArray[np.int64]
    properties: dict[str, Sequence[Value]]
    fields: Mapping[str, str]


@dataclass
class _Ready:
    """A layer with what is needed to cut it."""

    layer: TileLayer
    zooms: ZoomRange
    columns: Columns
    label: npt.NDArray[np.float64]
    bounds: tuple[float, float, float, float]
    place: dict[int, int] = field(default_factory=dict)


def _ready(connection: sa.Connection, version: int, one: TileLayer) -> _Ready | None:
    """Places of the labels; None without units."""
    zooms = connection.execute(
        sa.text(ZOOMS), {"version": version, "level": one.level}
    ).one_or_none()
    if zooms is None:
        raise NotFound(f"level {one.level!r} has no tiles yet: run `wusetu tiles build`")
    rows = connection.execute(
        sa.text(LABELS), {"version": version, "level": one.level, "ids": one.ids.tolist()}
    ).all()
    if not rows:
        return None
    assert [row.id for row in rows] == one.ids.tolist()
    ids = one.ids.astype(np.int64)
    return _Ready(
        one,
        ZoomRange(*zooms),
        Columns.of(ids, one.properties),
        geometry.project(np.array([[row.lon, row.lat] for row in rows])),
        (
            min(row.west for row in rows), min(row.south for row in rows),
            max(row.east for row in rows), max(row.north for row in rows),
        ),
        {int(one): k for k, one in enumerate(ids)},
    )  # fmt: skip


def write(
    connection: sa.Connection,
    version: int,
    layers: Sequence[TileLayer],
    path: Path,
    metadata: Mapping[str, Any],
) -> int:
    """Write an archive; the number of its tiles.

    Parameters
    ----------
    metadata : kept in the file; `vector_layers` are added

    Raises
    ------
    NotFound
        A level has no tiles yet, or none of the units may be seen.
    """
    ready = [one for one in (_ready(connection, version, each) for each in layers) if one]
    if not ready:
        raise NotFound("there are no units to export here")
    corners = np.array([one.bounds for one in ready])
    bounds = (*corners[:, :2].min(axis=0).tolist(), *corners[:, 2:].max(axis=0).tolist())
    about = dict(metadata)
    about["vector_layers"] = [
        described
        for one in ready
        for described in tilejson.vector_layers(
            {one.layer.polygons: one.layer.fields, one.layer.labels: one.layer.fields}, one.zooms
        )
    ]
    lowest = min(one.zooms.low for one in ready)
    highest = max(one.zooms.high for one in ready)
    found = (
        tile
        for zoom in range(lowest, highest + 1)
        for tile in _zoom(connection, version, [one for one in ready if zoom in one.zooms], zoom)
    )
    return archive.write_file(path, found, bounds, about)


def _envelope(tile: Tile, margin: float) -> dict[str, float]:
    """Bounds of a tile of any zoom with a margin in metres, EPSG:3857."""
    z, x, y = tile
    half, side = levels.WORLD / 2, levels.WORLD / 2**z
    return {
        "west": x * side - half - margin, "south": half - (y + 1) * side - margin,
        "east": (x + 1) * side - half + margin, "north": half - y * side + margin,
    }  # fmt: skip


def _zoom(
    connection: sa.Connection, version: int, ready: Sequence[_Ready], zoom: int
) -> Iterator[tuple[int, int, int, bytes]]:
    """Tiles of a zoom, block by block along the curve of the archive."""
    margin = levels.WORLD / 2**zoom * 2 * levels.BUFFER
    waiting: list[Tile] = [(0, 0, 0)]
    while waiting:
        z, x, y = block = waiting.pop()
        box = _envelope(block, margin)
        here = [one for one in ready if _touches(one, box)]
        if not here:
            continue
        if z < zoom and _size(connection, version, here, zoom, box) > BLOCK_BYTES:
            below = [(z + 1, 2 * x + i, 2 * y + j) for i in (0, 1) for j in (0, 1)]
            waiting += sorted(below, key=lambda one: -archive.tile_id(*one))
            continue
        tiles: dict[tuple[int, int], bytes] = {}
        for one in here:
            for tile, body in _block(connection, version, one, zoom, block=block, box=box):
                tiles[tile] = tiles.get(tile, b"") + body
        for column, row in sorted(tiles, key=lambda one: archive.tile_id(zoom, *one)):
            yield zoom, column, row, cut.compress(tiles[column, row])


def _touches(one: _Ready, box: Mapping[str, float]) -> bool:
    corners = np.array(one.bounds).reshape(2, 2)
    (west, south), (east, north) = geometry.project(corners)
    return bool(
        west <= box["east"]
        and east >= box["west"]
        and south <= box["north"]
        and north >= box["south"]
    )


def _size(
    connection: sa.Connection,
    version: int,
    ready: Sequence[_Ready],
    zoom: int,
    box: Mapping[str, float],
) -> int:
    return sum(
        connection.execute(
            sa.text(SIZE), {"version": version, "level": one.layer.level, "zoom": zoom, **box}
        ).scalar_one()
        for one in ready
    )


def _block(
    connection: sa.Connection,
    version: int,
    one: _Ready,
    zoom: int,
    *,
    block: Tile,
    box: Mapping[str, float],
) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Layers of one level in the tiles of a block, not compressed."""
    extent = levels.extent(zoom, one.zooms)
    inside = (
        (one.label[:, 0] >= box["west"])
        & (one.label[:, 0] <= box["east"])
        & (one.label[:, 1] >= box["south"])
        & (one.label[:, 1] <= box["north"])
    )
    rows = connection.execute(
        sa.text(SHAPES),
        {
            "version": version, "level": one.layer.level, "zoom": zoom,
            "ids": one.layer.ids[inside].tolist(), **box,
        },
    ).all()  # fmt: skip
    rows = [row for row in rows if row.unit_id in one.place]
    if not rows:
        return
    index = np.array([one.place[row.unit_id] for row in rows])
    mercator = shapely.from_wkb([bytes(row.shape) for row in rows])
    shapes = shapely.transform(geometry.to_units(mercator, zoom, extent), np.rint)
    label = geometry.label_units(one.label[index], zoom, extent)
    polygons = cut.drawn(shapes, label, zoom, extent)
    points = cut.points(label, extent)
    z, x, y = block
    for tile in sorted({*polygons, *points}):
        if (tile[0] >> (zoom - z), tile[1] >> (zoom - z)) != (x, y):
            continue
        body = b""
        for name, kind, parts in (
            (one.layer.polygons, POLYGON, polygons),
            (one.layer.labels, POINT, points),
        ):
            if tile in parts:
                features, commands = parts[tile]
                rows_of = index[features].tolist()
                body += layer(name, one.columns, rows_of, commands, kind=kind, extent=extent)
        if body:
            yield tile, body
