"""How many events in a small area that is nearly round. May import numpy, numba.

A circle in metres has hundreds of edges, and laying them over the tiles is most of the time of a small
one. In a plane that makes its width its height such a ring runs between two circles about its middle
that lie centimetres apart: what is nearer than the inner one lies inside, what is farther than the
outer one does not.

Promises: the same count as with edges laid over tiles. The circles are moved apart by more than rounding
moves anything, and a point between them is decided by `geo.cube.edges.exactly`.
"""

# ruff: noqa: PLR0917 compiled code takes plain arrays
# Python and numpy integers are one to the compiler:
# mypy: disable-error-code="assignment, arg-type, return-value, operator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from geo.compiled import borrowing, comparing
from geo.cube.build import BLOCK_COLUMNS, BLOCKS_PER_DEGREE
from geo.cube.count import spots_sure
from geo.cube.cover import SPOTS, extent
from geo.cube.edges import exactly, search
from geo.cube.slices import AHEAD, fetch, slices_in

Array = npt.NDArray[Any]

NOT_ROUND = -1
_MOST_TILES = 64
_FEWEST = 16  # corners; with fewer, laying them takes no longer
_APART = 0.02  # of the outer circle's radius, at most, between the two
_ROUNDED = 1e-9  # of a radius, and
_SPOT_ROUNDED = 1e-6  # of a spot: more than rounding moves a point
_NARROWEST = 64.0  # times as high as wide: of a width so many times less is left of the above


@comparing
def _circles(x: Array, y: Array, cx: float, cy: float, k: float) -> tuple[float, float, int]:
    """Find squares of the distances of the nearest edge and the farthest corner, and the middle's side.

    One closed ring. Coordinates are taken from (cx, cy), x times k; 1 last: the middle lies inside.
    """
    near, far, odd = np.inf, 0.0, 0
    for i in range(len(x) - 1):
        ax, ay = (x[i] - cx) * k, y[i] - cy
        bx, by = (x[i + 1] - cx) * k, y[i + 1] - cy
        dx, dy = bx - ax, by - ay
        # the nearest place of an edge: so far along it
        along = min(max(-(ax * dx + ay * dy) / max(dx * dx + dy * dy, 1e-300), 0.0), 1.0)
        px, py = ax + along * dx, ay + along * dy
        near, far = min(px * px + py * py, near), max(ax * ax + ay * ay, far)
        odd ^= ((ay > 0.0) != (by > 0.0)) & ((ax * by - ay * bx < 0.0) == (by > ay))
    return near, far, odd


@borrowing
def _fits(columns: float, rows: float) -> bool:
    """Whether an area of a width and a height in tiles is small, and wide enough for its height."""
    if not (columns + 1.0) * (rows + 1.0) <= _MOST_TILES or rows <= 0.0:
        return False
    return columns > 0.0 and rows <= _NARROWEST * columns


@borrowing
def _rows(spots: Array, west: float, south: float, k: float, inner: float, outer: float) -> None:
    """Write the spots of a tile: bit c of row q says whether inside, and whether between the circles.

    Parameters
    ----------
    spots : uint32 (2, SPOTS)
        Written.
    west, south : float
        Corner of the tile, in spots from the middle.
    k : float
        Times this, widths are heights.
    inner, outer : float
        Radii, in heights of a spot.

    """
    one = np.uint64(1)
    for q in range(SPOTS):
        low, high = south + q, south + q + 1.0
        most, least = max(abs(low), abs(high)), max(low, -high, 0.0)
        # half the width of the circles in this row; of the inner one where it is least
        wide = np.sqrt(max(outer * outer - least * least, 0.0)) / k + _SPOT_ROUNDED
        sure = np.sqrt(max(inner * inner - most * most, 0.0)) / k - _SPOT_ROUNDED
        c0 = min(max(np.floor(-wide - west), 0.0), float(SPOTS))
        c1 = min(max(np.ceil(wide - west), c0), float(SPOTS))
        s0 = min(max(np.ceil(-sure - west), c0), c1)
        s1 = min(max(np.floor(sure - west), s0), c1)
        touched = (one << np.uint64(c1)) - (one << np.uint64(c0))
        within = (one << np.uint64(s1)) - (one << np.uint64(s0))
        spots[0, q], spots[1, q] = within, touched & ~within


@borrowing
def _tiles(
    whole: Array,
    edge: Array,
    u: float,
    v: float,
    k: float,
    r_in: float,
    r_out: float,
    side: int,
    block_key: Array,
    block_tiles: Array,
    tile_id: Array,
) -> tuple[int, int]:
    """Find the tiles in the inner circle, and those of the rest that the outer one reaches.

    Parameters
    ----------
    whole : int64 (n, 1)
        Written: tile.
    edge : int64 (m, 3)
        Written: tile, column and row of it on the globe.
    u, v, k, r_in, r_out : float
        Middle and radii in spots; times k, widths are heights.

    Returns
    -------
    n_whole, n_edge : int
        How many; -1 first: more than there is room for.

    """
    n_whole, n_edge = 0, 0
    reach, block = r_out / k, side * SPOTS
    for row in range(int((v - r_out) / block), int((v + r_out) / block) + 1):
        key = row * BLOCK_COLUMNS
        b = search(block_key, 0, len(block_key), key + int((u - reach) / block))
        while b < len(block_key) and block_key[b] <= key + int((u + reach) / block):
            column = np.int64(block_key[b]) - key
            for t in range(np.int64(block_tiles[b]), np.int64(block_tiles[b + 1])):
                one = np.int64(tile_id[t])
                tile_u, tile_v = column * side + one % side, row * side + one // side
                # the nearest and the farthest place of the tile
                du, dv = tile_u * SPOTS - u, tile_v * SPOTS - v
                u0, u1 = max(du, -du - SPOTS, 0.0) * k, max(abs(du), abs(du + SPOTS)) * k
                v0, v1 = max(dv, -dv - SPOTS, 0.0), max(abs(dv), abs(dv + SPOTS))
                if u0 * u0 + v0 * v0 > r_out * r_out:
                    continue
                if n_whole == len(whole) or n_edge == len(edge):
                    return -1, 0
                if r_in > 0.0 and u1 * u1 + v1 * v1 < r_in * r_in:
                    whole[n_whole, 0] = t
                    n_whole += 1
                else:
                    edge[n_edge, 0], edge[n_edge, 1], edge[n_edge, 2] = t, tile_u, tile_v
                    n_edge += 1
            b += 1
    return n_whole, n_edge


@numba.njit(cache=True, nogil=True)
def disc(
    x: Array,
    y: Array,
    last: Array,
    side: int,
    block_key: Array,
    block_tiles: Array,
    tile_id: Array,
    tile_start: Array,
    time: Array,
    cell: Array,
    point: Array,
    start: int,
    end: int,
    final: int,
) -> int:
    """Count the events of all kinds in [start, end); `NOT_ROUND`: ask otherwise.

    Parameters
    ----------
    x, y, last
        See `geo.corners.Corners`.
    side, block_key, block_tiles, tile_id, tile_start, time, cell, point
        See `geo.cube.build`.
    start, end, final : int
        Seconds since `base`; no event is later than `final`.

    """
    n = len(x)
    if n < _FEWEST or last[: n - 1].any():
        return NOT_ROUND
    west, east, south, north = extent(x, y)
    tiles_per_degree = BLOCKS_PER_DEGREE * side
    columns, rows = (east - west) * tiles_per_degree, (north - south) * tiles_per_degree
    # beside the globe a row of blocks would be followed by the next
    if west < -180.0 or east > 180.0 or south < -90.0 or north > 90.0 or not _fits(columns, rows):
        return NOT_ROUND
    cx, cy, k = (west + east) / 2, (south + north) / 2, rows / columns
    near, far, odd = _circles(x, y, cx, cy, k)
    inner, outer = np.sqrt(near), np.sqrt(far)
    # thin enough, and large enough for what is lost by taking coordinates from the middle
    if odd == 0 or outer - inner > _APART * outer or outer < 1e-7:
        return NOT_ROUND
    inner, outer = inner * (1.0 - _ROUNDED), outer * (1.0 + _ROUNDED)
    # in spots
    per_degree = tiles_per_degree * SPOTS
    u, v = (cx + 180.0) * per_degree, (cy + 90.0) * per_degree
    r_in, r_out = inner * per_degree - _SPOT_ROUNDED, outer * per_degree + _SPOT_ROUNDED
    whole, edge = np.empty((256, 1), np.int64), np.empty((256, 3), np.int64)
    n_whole, n_edge = _tiles(
        whole, edge, u, v, k, r_in, r_out, side, block_key, block_tiles, tile_id
    )  # fmt: skip
    if n_whole < 0:
        return NOT_ROUND

    total = np.int64(0)
    slices = np.empty((AHEAD, 4), np.int64)
    for first in range(0, n_whole, AHEAD):
        slices_in(slices, whole[:n_whole], first, tile_start, time, start, end, final)
        for i in range(min(AHEAD, n_whole - first)):
            total += slices[i, 1] - slices[i, 0]
    spots = np.empty((2, SPOTS), np.uint32)
    open_at = np.empty(1024, np.int64)
    ring, from_column = np.empty((1, 2), np.int32), np.zeros(1, np.int32)
    ring[0, 0], ring[0, 1] = 0, n - 1
    near, far = inner * inner, outer * outer
    for first in range(0, n_edge, AHEAD):
        slices_in(slices, edge[:n_edge], first, tile_start, time, start, end, final)
        fetch(cell, slices, min(AHEAD, n_edge - first))
        for i in range(min(AHEAD, n_edge - first)):
            low, high = slices[i, 0], slices[i, 1]
            if low == high:
                continue
            if high - low > len(open_at):
                open_at = np.empty(2 * (high - low), np.int64)
            _rows(
                spots, edge[first + i, 1] * SPOTS - u, edge[first + i, 2] * SPOTS - v, k, r_in, r_out
            )  # fmt: skip
            sure, n_open = spots_sure(open_at, 0, spots, cell, low, high)
            total += sure
            for o in range(n_open):
                px, py = point[open_at[o], 0], point[open_at[o], 1]
                dx, dy = (px - cx) * k, py - cy
                square = dx * dx + dy * dy
                total += square < near
                if near <= square <= far:
                    total += exactly(px, py, 0, 0, 1, 0, from_column, ring, x, y)
    return total
