"""Cut shapes into tiles and encode them: the layers `units` and `labels` of one level and zoom."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import shapely

from tiles import levels as lv
from tiles.geometry import one_unit
from tiles.mvt import POINT, POLYGON, Columns, layer, point_commands, polygon_commands
from tiles.rings import Geoms, Int

Tile = tuple[int, int]
Part = tuple[list[int], list[bytes]]
"""Feature rows and their geometry fields."""

EDGE = 0.5
"""Cut half a unit further out: no whole-unit point or edge then lies on the cut itself, where
GEOS' fast clipping is at its weakest."""


def compress(tile: bytes) -> bytes:
    """Gzip, level 6, without a time stamp: the same tile is the same bytes."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(tile) + packer.flush()


def polygons(geoms: Geoms, zoom: int, extent: int) -> dict[Tile, Part]:
    """Polygons cut at every tile they touch.

    Parameters
    ----------
    geoms : object (n,)
        Whole tile units of the world, valid, not empty.
    zoom, extent : int

    Returns
    -------
    dict
        (x, y) → rows of `geoms`, ascending, and their geometry fields (none empty).
    """
    margin = extent * lv.BUFFER + EDGE
    box = shapely.bounds(geoms)
    top = 2**zoom - 1
    first = np.clip(np.ceil((box[:, :2] - margin) / extent) - 1, 0, top).astype(np.int64)
    last = np.clip(np.floor((box[:, 2:] + margin) / extent), 0, top).astype(np.int64)
    row, tile = _pairs(first, last)
    corner = tile * extent
    inside = np.all(box[row, :2] >= corner - margin, axis=1) & np.all(
        box[row, 2:] <= corner + extent + margin, axis=1
    )
    cut = geoms[row]
    rows = np.flatnonzero(~inside)
    key = tile[rows, 0] * (top + 1) + tile[rows, 1]
    order = rows[np.argsort(key, kind="stable")]
    groups = np.flatnonzero(np.diff(np.sort(key))) + 1
    for group in np.split(order, groups) if len(order) else []:
        x, y = (corner[group[0]]).tolist()
        cut[group] = shapely.clip_by_rect(
            cut[group], x - margin, y - margin, x + extent + margin, y + extent + margin
        )
    commands = polygon_commands(cut, corner)
    result: dict[Tile, Part] = {}
    for k, x, y, command in zip(
        row.tolist(), tile[:, 0].tolist(), tile[:, 1].tolist(), commands, strict=True
    ):
        if command:
            part = result.setdefault((x, y), ([], []))
            part[0].append(k)
            part[1].append(command)
    return result


def _pairs(first: Int, last: Int) -> tuple[Int, Int]:
    """Row and tile of every (row, tile of its box), int64 (m,) and (m, 2)."""
    wide = last - first + 1
    count = wide[:, 0] * wide[:, 1]
    row = np.repeat(np.arange(len(first)), count)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    tile = first[row] + np.column_stack([place // wide[row, 1], place % wide[row, 1]])
    return row, tile


def points(at: Int, extent: int) -> dict[Tile, Part]:
    """Points, each in exactly one tile: the one whose half-open square `[0, extent)` holds it."""
    tile = at // extent
    commands = point_commands(at - tile * extent)
    result: dict[Tile, Part] = {}
    for k, (x, y) in enumerate(tile.tolist()):
        part = result.setdefault((x, y), ([], []))
        part[0].append(k)
        part[1].append(commands[k])
    return result


def join(
    extent: int, layers: Sequence[tuple[str, int, Columns, Mapping[Tile, Part]]]
) -> Iterator[tuple[Tile, bytes]]:
    """Join layers to compressed tiles; tiles without a feature are not made.

    Parameters
    ----------
    extent : int
    layers : sequence of (name, `POINT` or `POLYGON`, columns, parts per tile)
    """
    for tile in sorted({t for _, _, _, parts in layers for t in parts}):
        body = b"".join(
            layer(name, columns, *parts[tile], kind=kind, extent=extent)
            for name, kind, columns, parts in layers
            if tile in parts
        )
        yield tile, compress(body)


def drawn(geoms: Geoms, label: Int, zoom: int, extent: int) -> dict[Tile, Part]:
    """Polygons cut at every tile they touch, none lost; as `units_and_labels` draws them."""
    parts = polygons(geoms, zoom, extent)
    seen = np.zeros(len(geoms), bool)
    for rows, _ in parts.values():
        seen[rows] = True
    lost = np.flatnonzero(~seen)
    if len(lost):  # a thread so thin that every tile's piece of it rounds to nothing
        squares = np.array([one_unit(px, py) for px, py in label[lost].tolist()], object)
        for tile, (rows, commands) in polygons(squares, zoom, extent).items():
            part = parts.setdefault(tile, ([], []))
            part[0].extend(lost[rows].tolist())
            part[1].extend(commands)
    return parts


def units_and_labels(
    geoms: Geoms,
    label: Int,
    columns: tuple[Columns, Columns],
    *,
    zoom: int,
    extent: int,
) -> Iterator[tuple[Tile, bytes]]:
    """Tiles of one level at one zoom.

    Parameters
    ----------
    geoms : object (n,)
        Polygons in whole tile units of the world.
    label : int64 (n, 2)
        Label points, same units.
    columns : two Columns
        Properties of the layers `units` and `labels`.
    zoom, extent : int
    """
    shapes, names = columns
    parts = drawn(geoms, label, zoom, extent)
    yield from join(
        extent,
        [
            ("units", POLYGON, shapes, parts),
            ("labels", POINT, names, points(label, extent)),
        ],
    )
