"""How a locate index is made: which cells edges touch, who fills the others, records of the edges.

May import numpy, shapely and `geo.inside`. Pure. Public entry is `geo.locate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from geo.inside import EDGE_WORDS, MOST, Lists, fill_records

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Progress = Callable[[float], None]

#: cells per polygon and in all: finer helps little and costs memory (4 bytes each)
_CELLS_PER_POLYGON = 1024
_CELLS_LEAST, _CELLS_MOST = 1 << 18, 1 << 24
# Edges are widened by this part of a cell when marking the cells they touch. Rounding while a
# point is put into its cell moves it by less than 1e-11 of a cell.
_MARGIN = 1e-6
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Grid:
    """Cells of a raster, row by row from the south west."""

    west: float
    south: float
    per_degree: float
    rows: int
    columns: int

    @property
    def size(self) -> tuple[float, float, float, int, int]:
        """West, south, cells per degree, rows, columns."""
        return self.west, self.south, self.per_degree, self.rows, self.columns

    def to_cells(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Column and row of points (n,), with fractions."""
        return (x - self.west) * self.per_degree, (y - self.south) * self.per_degree


def raster_and_records(
    shapes: npt.NDArray[np.object_], ids: npt.NDArray[np.int32], grid: Grid, report: Progress
) -> tuple[npt.NDArray[np.int32], Ints]:
    """Raster and records of `geo.inside.locate_many`.

    Parameters
    ----------
    shapes : object (n,)
        Valid polygons in the order of `ids`.
    ids : int32 (n,)
        Positive, ascending.
    report : callable
        Called with the part done.
    """
    e = _edges(shapes, grid)
    n = max(len(shapes), 1)
    cell, edge = _edge_cells(e, grid)
    report(0.2)
    raster = np.zeros(grid.rows * grid.columns, dtype=np.int32)
    border = np.zeros(len(raster), dtype=bool)
    border[cell] = True
    keys = [cell * n + e.polygon[edge]]
    keys += _fill(raster, border, ids, e, grid, progress=lambda part: report(0.2 + 0.4 * part))
    # by sorting: numpy's unique hashes, which is eight times slower on millions of keys
    pairs = np.sort(np.concatenate(keys))
    pairs = pairs[_changes(pairs)]
    polygon_start = np.append(_changes(pairs // n), len(pairs))
    slot_cell = pairs[polygon_start[:-1]] // n
    slots = len(slot_cell)
    raster[slot_cell] = -1 - np.arange(slots, dtype=np.int32)
    report(0.7)
    # neighbours share edges: one edge, the bits of both
    same = _same_edges(e.points)
    slot = -1 - raster[cell].astype(np.int64)
    bit = np.searchsorted(pairs, keys[0]) - polygon_start[slot]
    key = slot * max(len(e.points), 1) + same[edge]
    order = np.argsort(key, kind="stable")
    first = _changes(key[order])
    ones = np.left_shift(1, np.minimum(bit[order], MOST - 1), dtype=np.int64)
    bits = np.bitwise_xor.reduceat(ones, first) if len(first) else ones
    edge_start = np.searchsorted(slot[order][first], np.arange(slots + 1))
    length = 2 + (np.diff(polygon_start) + 1) // 2 + EDGE_WORDS * np.diff(edge_start)
    word_start = np.concatenate([[0], np.cumsum(length)])
    words = np.zeros(word_start[-1], dtype=np.int64)
    report(0.8)
    fill_records(
        _row_lists(e, len(shapes)),
        grid.size,
        (slot_cell, polygon_start, edge_start, word_start),
        ((pairs % n).astype(np.int32), ids, e.points, same[edge][order][first], bits),
        words,
    )
    raster[slot_cell] = -1 - word_start[:-1]
    return raster, words


def _same_edges(points: Floats) -> Ints:
    """For each edge (m, 4) the first one that joins the same two points."""
    turned = (points[:, 0] > points[:, 2]) | (
        (points[:, 0] == points[:, 2]) & (points[:, 1] > points[:, 3])
    )
    ends = np.where(turned[:, None], points[:, [2, 3, 0, 1]], points)
    order = np.lexsort(ends.T)
    new = np.ones(len(points), dtype=bool)
    new[1:] = (ends[order][1:] != ends[order][:-1]).any(axis=1)
    # lexsort is stable: the first of a group is the lowest
    first = order[np.flatnonzero(new)[np.cumsum(new) - 1]]
    found = np.empty(len(points), dtype=np.int64)
    found[order] = first
    return found


def choose_grid(shapes: npt.NDArray[np.object_]) -> Grid:
    """Choose cells by the number of polygons and the room they take."""
    if shapely.is_empty(shapes).all():
        return Grid(0.0, 0.0, 1.0, 1, 1)
    bounds = shapely.total_bounds(shapes)
    west, south, east, north = bounds.tolist()
    cells = min(max(len(shapes) * _CELLS_PER_POLYGON, _CELLS_LEAST), _CELLS_MOST)
    width, height = max(east - west, 1e-9), max(north - south, 1e-9)
    # a long thin map must not ask for more columns than cells
    per_degree = min((cells / (width * height)) ** 0.5, cells / 4 / max(width, height))
    # one empty cell all around: what rounds outward still falls into the raster
    columns, rows = int(width * per_degree) + 3, int(height * per_degree) + 3
    return Grid(west - 1 / per_degree, south - 1 / per_degree, per_degree, rows, columns)


@dataclass(frozen=True)
class _Edges:
    """Edges as given (m, 4) and in cell units, with the position of their polygon, ascending."""

    points: Floats
    u0: Floats
    v0: Floats
    u1: Floats
    v1: Floats
    polygon: Ints


def _edges(shapes: npt.NDArray[np.object_], grid: Grid) -> _Edges:
    simple, multi = shapely.get_parts(shapes, return_index=True)
    rings, part = shapely.get_rings(simple, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    u, v = grid.to_cells(points[:, 0], points[:, 1])
    same = ring[1:] == ring[:-1]
    polygon = multi[part[ring[:-1][same]]].astype(np.int64)
    given = np.ascontiguousarray(np.hstack([points[:-1], points[1:]])[same])
    return _Edges(given, u[:-1][same], v[:-1][same], u[1:][same], v[1:][same], polygon)


def _row_lists(e: _Edges, n: int) -> Lists:
    low = np.floor(np.minimum(e.v0, e.v1) - _MARGIN).astype(np.int64)
    high = np.floor(np.maximum(e.v0, e.v1) + _MARGIN).astype(np.int64)
    begin = np.searchsorted(e.polygon, np.arange(n))
    filled = np.flatnonzero(np.bincount(e.polygon, minlength=n))
    bottom, rows = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    if len(filled):
        bottom[filled] = np.minimum.reduceat(low, begin[filled])
        rows[filled] = np.maximum.reduceat(high, begin[filled]) - bottom[filled] + 1
    first = np.cumsum(rows) - rows - bottom
    edge, row = _spread(low, high)
    number = first[e.polygon[edge]] + row
    order = np.argsort(number, kind="stable")
    start = np.searchsorted(number[order], np.arange(int(rows.sum()) + 1))
    return Lists(first, start.astype(np.int64), edge[order].astype(np.int32), e.points)


def _changes(values: Ints) -> Ints:
    """Positions in a sorted array where a new value begins."""
    return np.flatnonzero(np.diff(values, prepend=-1))


def _spread(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Index of the range and the number for every integer of the ranges [first, last]."""
    length = np.maximum(last - first + 1, 0)
    which = np.repeat(np.arange(len(first)), length)
    begin = np.cumsum(length) - length
    return which, np.arange(len(which)) - begin[which] + first[which]


def _edge_cells(e: _Edges, grid: Grid) -> tuple[Ints, Ints]:
    """Cells that an edge touches, each with the edge."""
    low, high = np.minimum(e.v0, e.v1), np.maximum(e.v0, e.v1)
    first = np.floor(low - _MARGIN).astype(np.int64)
    which, row = _spread(first, np.floor(high + _MARGIN).astype(np.int64))
    # the part of each edge inside the widened row, then its columns
    rise = e.v1[which] - e.v0[which]
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (row - _MARGIN - e.v0[which]) / rise
        b = (row + 1 + _MARGIN - e.v0[which]) / rise
    flat = rise == 0
    a, b = np.where(flat, 0, a).clip(0, 1), np.where(flat, 1, b).clip(0, 1)
    run = e.u1[which] - e.u0[which]
    ua, ub = e.u0[which] + a * run, e.u0[which] + b * run
    start = np.floor(np.minimum(ua, ub) - _MARGIN).astype(np.int64)
    piece, column = _spread(start, np.floor(np.maximum(ua, ub) + _MARGIN).astype(np.int64))
    return row[piece] * grid.columns + column, which[piece]


def _fill(
    raster: npt.NDArray[np.int32],
    border: npt.NDArray[np.bool_],
    ids: npt.NDArray[np.int32],
    e: _Edges,
    grid: Grid,
    *,
    progress: Progress,
) -> list[Ints]:
    """Write ids into the cells no edge touches; give back the (cell, polygon) keys of the others.

    A cell without an edge lies inside a polygon when its centre does. Centres are found by
    scanlines: crossings of a row's centre line, sorted, enclose runs of columns two by two.
    """
    low, high = np.minimum(e.v0, e.v1), np.maximum(e.v0, e.v1)
    # centre lines c with low <= c < high: a vertex on the line is counted once
    first = np.ceil(low - 0.5).astype(np.int64)
    which, row = _spread(first, np.ceil(high - 0.5).astype(np.int64) - 1)
    part = (row + 0.5 - e.v0[which]) / (e.v1[which] - e.v0[which])
    u = e.u0[which] + part * (e.u1[which] - e.u0[which])
    polygon = e.polygon[which]
    # lowest polygon last: what is written later stays
    order = np.lexsort((u, row, -polygon))
    u, row, polygon = u[order], row[order], polygon[order]
    start = np.ceil(u[0::2] - 0.5).astype(np.int64)
    end = np.floor(u[1::2] - 0.5).astype(np.int64)
    row, polygon = row[0::2], polygon[0::2]
    total = np.cumsum(np.maximum(end - start + 1, 0))
    keys: list[Ints] = []
    done = 0
    while done < len(start):
        base = total[done - 1] if done else 0
        stop = max(int(np.searchsorted(total, base + _CHUNK)), done + 1)
        run, column = _spread(start[done:stop], end[done:stop])
        cell = row[done:stop][run] * grid.columns + column
        owner = polygon[done:stop][run]
        near = border[cell]
        keys.append(cell[near] * len(ids) + owner[near])
        raster[cell[~near]] = ids[owner[~near]]
        done = stop
        progress(done / len(start))
    return keys
