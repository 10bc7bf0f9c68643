"""Which tiles an area holds whole and which its edges touch. May import numpy, numba.

Promises: a tile that is reported whole lies inside, edges and rounding included; a point of any
other tile that is inside lies in a tile of the rim, where `inside` decides exactly, with the answer
of GEOS for "the area covers the point". Coordinates are multiplied and rounded only to choose
tiles; the exact test takes them as they are.
"""

# ruff: noqa: PLR0917 compiled code takes plain arrays
# Python and numpy integers are one to the compiler:
# mypy: disable-error-code="assignment, arg-type"

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import shapely

from geo.cube.build import BLOCK_COLUMNS, SIDE, TILES_PER_DEGREE
from geo.shapes import ShapeError

Array = npt.NDArray[Any]

#: edge pieces (an edge in a row of tiles) of one question: 16 bytes each
MOST_PIECES = 1 << 24
# Edges are widened by this part of a tile. Rounding moves a point or an edge by less than 1e-10.
MARGIN = 1e-6


class Cover(NamedTuple):
    """An area in terms of a snapshot's blocks and tiles.

    Attributes
    ----------
    blocks : int64 (w,)
        Blocks that lie inside as a whole.
    spans : int64 (s, 3)
        First tile, stop, block of tiles that lie inside.
    rim : int64 (r, 4)
        First tile, stop, block, stretch of tiles that an edge touches.
    stretch : int64 (m, 3)
        First piece, stop, whether the tile to the left lies inside.
    piece_from, piece_edge : int32 (p,)
        Column where the piece begins (ascending in a stretch) and its edge.
    x, y : float64 (v,)
        Vertices; edge i runs from vertex i to i + 1.

    """

    blocks: Array
    spans: Array
    rim: Array
    stretch: Array
    piece_from: Array
    piece_edge: Array
    x: Array
    y: Array


def cover(area: shapely.Geometry, arrays: dict[str, Array], margin: float = MARGIN) -> Cover:
    """Lay a Polygon or MultiPolygon over the tiles of a snapshot.

    Parameters
    ----------
    area : Polygon or MultiPolygon
        Valid, EPSG:4326.
    arrays : dict
        See `geo.cube.build`.
    margin : float
        Tiles, by which edges are widened.

    Raises
    ------
    ShapeError
        `too_complex`: more than `MOST_PIECES` edge pieces over the snapshot's tiles.

    """
    rings = shapely.get_rings(shapely.get_parts(area))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
    last = np.append(ring[1:] != ring[:-1], True)
    result = _cover(
        x,
        y,
        last,
        margin,
        MOST_PIECES,
        arrays["block_key"],
        arrays["block_tiles"],
        arrays["tile_id"],
    )
    if not result[0]:
        raise ShapeError("too_complex", "too many edges run through the map: simplify the area")
    return Cover(*result[1:], x, y)


@numba.njit(cache=True, nogil=True)
def _grown(array: Array, used: int) -> Array:
    if used < len(array):
        return array
    wider = np.empty((2 * len(array) + 16, array.shape[1]), array.dtype)
    wider[:used] = array[:used]
    return wider


@numba.njit(cache=True, nogil=True)
def _lower(ids: Array, low: int, high: int, value: int) -> int:
    while low < high:
        middle = (low + high) // 2
        if ids[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True, nogil=True)
def _cover(  # noqa: PLR0912, PLR0915 one pass over rows, cut by comments
    x: Array,
    y: Array,
    last: Array,
    margin: float,
    most: int,
    block_key: Array,
    block_tiles: Array,
    tile_id: Array,
) -> tuple[bool, Array, Array, Array, Array, Array, Array]:
    none = np.empty((0, 4), np.int64)
    whole = np.empty((len(block_key), 1), np.int64)
    spans, rim = np.empty((16, 4), np.int64), np.empty((16, 4), np.int64)
    n_whole, n_spans, n_rim = 0, 0, 0
    piece_start = np.empty(0, np.int64)
    if len(block_key) == 0 or len(x) == 0:
        empty = np.empty(0, np.int32)
        return True, whole[:0, 0].copy(), spans[:0], rim[:0], none[:, :3].copy(), empty, empty
    u, v = (x + 180.0) * TILES_PER_DEGREE, (y + 90.0) * TILES_PER_DEGREE
    # the tiles of the area that the snapshot can hold
    column0, column1 = BLOCK_COLUMNS, 0
    for b in range(len(block_key)):
        column0 = min(column0, block_key[b] % BLOCK_COLUMNS)
        column1 = max(column1, block_key[b] % BLOCK_COLUMNS)
    column0 = max(column0 * SIDE, int(np.floor(u.min() - margin)))
    column1 = min(column1 * SIDE + SIDE - 1, int(np.floor(u.max() + margin)))
    row0 = max(block_key[0] // BLOCK_COLUMNS * SIDE, int(np.floor(v.min() - margin)))
    row1 = min(block_key[-1] // BLOCK_COLUMNS * SIDE + SIDE - 1, int(np.floor(v.max() + margin)))
    rows = row1 - row0 + 1
    if rows <= 0 or column1 < column0:
        empty = np.empty(0, np.int32)
        return True, whole[:0, 0].copy(), spans[:0], rim[:0], none[:, :3].copy(), empty, empty

    # pieces: an edge in a row, with the columns it touches there
    piece_start = np.zeros(rows + 1, np.int64)
    for i in range(len(x) - 1):
        if last[i]:
            continue
        bottom, top = min(v[i], v[i + 1]) - margin, max(v[i], v[i + 1]) + margin
        for r in range(max(int(np.floor(bottom)), row0), min(int(np.floor(top)), row1) + 1):
            piece_start[r - row0 + 1] += 1
    for r in range(rows):
        piece_start[r + 1] += piece_start[r]
    total = piece_start[rows]
    if total > most:
        empty = np.empty(0, np.int32)
        return False, whole[:0, 0].copy(), spans[:0], rim[:0], none[:, :3].copy(), empty, empty
    first, final = np.empty(total, np.int32), np.empty(total, np.int32)
    edge = np.empty(total, np.int32)
    fill = piece_start[:-1].copy()
    for i in range(len(x) - 1):
        if last[i]:
            continue
        bottom, top = min(v[i], v[i + 1]) - margin, max(v[i], v[i + 1]) + margin
        rise, going = v[i + 1] - v[i], u[i + 1] - u[i]
        for r in range(max(int(np.floor(bottom)), row0), min(int(np.floor(top)), row1) + 1):
            a, b = 0.0, 1.0
            if rise != 0.0:
                a = min(max((r - margin - v[i]) / rise, 0.0), 1.0)
                b = min(max((r + 1 + margin - v[i]) / rise, 0.0), 1.0)
            ua, ub = u[i] + a * going, u[i] + b * going
            k = fill[r - row0]
            # what lies beside the map is one column beside it: it only counts for what lies inside
            first[k] = min(max(int(np.floor(min(ua, ub) - margin)), column0 - 1), column1 + 1)
            final[k] = min(max(int(np.floor(max(ua, ub) + margin)), column0 - 1), column1 + 1)
            edge[k] = i
            fill[r - row0] += 1

    # stretches: pieces of a row whose columns hang together; between them nothing changes
    stretch = np.empty((total, 3), np.int64)
    columns = np.empty((total, 2), np.int64)
    stretch_start = np.zeros(rows + 1, np.int64)
    m = 0
    for r in range(rows):
        low, high = piece_start[r], piece_start[r + 1]
        if high - low <= 48:
            for k in range(low + 1, high):
                f, g, e = first[k], final[k], edge[k]
                j = k
                while j > low and first[j - 1] > f:
                    first[j], final[j], edge[j] = first[j - 1], final[j - 1], edge[j - 1]
                    j -= 1
                first[j], final[j], edge[j] = f, g, e
        else:
            order = np.argsort(first[low:high])
            first[low:high] = first[low:high][order]
            final[low:high] = final[low:high][order]
            edge[low:high] = edge[low:high][order]
        centre, odd = r + row0 + 0.5, 0
        k = low
        while k < high:
            stretch[m, 0], stretch[m, 2] = k, odd
            columns[m, 0], reach = first[k], final[k]
            while k < high and first[k] <= reach + 1:
                reach = max(reach, final[k])
                odd ^= (v[edge[k]] > centre) != (v[edge[k] + 1] > centre)
                k += 1
            stretch[m, 1], columns[m, 1] = k, reach
            m += 1
        stretch_start[r + 1] = m

    # blocks and tiles
    full = np.zeros(column1 // SIDE - column0 // SIDE + 1, np.int64)
    left = column0 // SIDE
    for block_row in range(row0 // SIDE, row1 // SIDE + 1):
        key = block_row * BLOCK_COLUMNS
        b0 = np.searchsorted(block_key, key + left)
        b1 = np.searchsorted(block_key, key + column1 // SIDE + 1)
        if b0 == b1:
            continue
        r0, r1 = max(block_row * SIDE, row0), min(block_row * SIDE + SIDE - 1, row1)
        full[:] = 0
        for r in range(r0, r1 + 1):
            for s in range(stretch_start[r - row0], stretch_start[r - row0 + 1] - 1):
                if stretch[s + 1, 2]:
                    begin = (columns[s, 1] + SIDE) // SIDE
                    for c in range(begin, columns[s + 1, 0] // SIDE):
                        full[c - left] += 1
        for b in range(b0, b1):
            if full[block_key[b] - key - left] == SIDE:
                whole[n_whole, 0] = b
                n_whole += 1
        for r in range(r0, r1 + 1):
            base = (r - block_row * SIDE) * SIDE
            s0, s1 = stretch_start[r - row0], stretch_start[r - row0 + 1]
            for s in range(s0, s1):
                for inner in range(2):
                    if inner:
                        if s + 1 == s1 or not stretch[s + 1, 2]:
                            continue
                        c0, c1 = columns[s, 1] + 1, columns[s + 1, 0] - 1
                    else:
                        c0, c1 = columns[s, 0], columns[s, 1]
                    c0, c1 = max(c0, column0), min(c1, column1)
                    if c0 > c1:
                        continue
                    b = np.searchsorted(block_key[b0:b1], key + c0 // SIDE) + b0
                    while b < b1 and block_key[b] - key <= c1 // SIDE:
                        c = block_key[b] - key
                        if full[c - left] != SIDE:
                            low, high = np.int64(block_tiles[b]), np.int64(block_tiles[b + 1])
                            at0 = base + max(c0 - c * SIDE, 0)
                            at1 = base + min(c1 - c * SIDE, SIDE - 1) + 1
                            t0 = _lower(tile_id, low, high, at0)
                            t1 = _lower(tile_id, t0, min(high, t0 + at1 - at0), at1)
                            if t1 > t0 and inner:
                                spans = _grown(spans, n_spans)
                                spans[n_spans, 0], spans[n_spans, 1], spans[n_spans, 2] = t0, t1, b
                                n_spans += 1
                            elif t1 > t0:
                                rim = _grown(rim, n_rim)
                                rim[n_rim, 0], rim[n_rim, 1] = t0, t1
                                rim[n_rim, 2], rim[n_rim, 3] = b, s
                                n_rim += 1
                        b += 1
    return True, whole[:n_whole, 0].copy(), spans[:n_spans], rim[:n_rim], stretch[:m], first, edge


@numba.njit(cache=True, nogil=True)
def inside(
    px: float,
    py: float,
    column: int,
    low: int,
    high: int,
    odd: int,
    piece_from: Array,
    piece_edge: Array,
    x: Array,
    y: Array,
) -> bool:
    """Whether the area covers a point of a tile in a stretch.

    Crossings of the line from the point to the left are counted up to the tile before the stretch
    (`odd`: that one lies inside); a crossing counts when the edge has one end above the line and
    one not, the rule of GEOS' ray crossing counter.
    """
    for k in range(low, high):
        if piece_from[k] > column:
            break  # begins to the right of the tile
        i = piece_edge[k]
        x0, y0, x1, y1 = x[i], y[i], x[i + 1], y[i + 1]
        if (y0 > py) != (y1 > py):
            if x0 < px and x1 < px:
                odd ^= 1
            elif x0 <= px or x1 <= px:
                side = turn(x0, y0, x1, y1, px, py)
                if side == 0:
                    return True
                # upward edges have the point to their right when it lies behind them
                if (side < 0) == (y1 > y0):
                    odd ^= 1
        if (y0 == py and x0 == px) or (y1 == py and x1 == px):
            return True
        if y0 == py and y1 == py and min(x0, x1) <= px <= max(x0, x1):
            return True
    return odd == 1


@numba.njit(cache=True, nogil=True)
def turn(ax: float, ay: float, bx: float, by: float, px: float, py: float) -> int:
    """Side of the line a to b on which p lies: 1 left, -1 right, 0 on it; exact.

    Shewchuk 1997: the sign of the determinant where its error bound allows, else from the exact sum
    of the exact products.
    """
    left, right = (ax - px) * (by - py), (ay - py) * (bx - px)
    det = left - right
    bound = 3.3306690738754716e-16 * (abs(left) + abs(right))
    if det > bound:
        return 1
    if -det > bound:
        return -1
    total = np.zeros(17)
    n = 0
    for term in range(2):
        p, q = (ax, by) if term == 0 else (ay, bx)
        pc, qc = (px, py) if term == 0 else (py, px)
        p1, p0 = _sum(p, -pc)
        q1, q0 = _sum(q, -qc)
        sign = 1.0 if term == 0 else -1.0
        for f in (p1, p0):
            for g in (q1, q0):
                h1, h0 = _product(f, g)
                n = _add(total, n, sign * h0)
                n = _add(total, n, sign * h1)
    for k in range(n - 1, -1, -1):
        if total[k] != 0.0:
            return 1 if total[k] > 0.0 else -1
    return 0


@numba.njit(cache=True, nogil=True)
def _sum(a: float, b: float) -> tuple[float, float]:
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@numba.njit(cache=True, nogil=True)
def _product(a: float, b: float) -> tuple[float, float]:
    p = a * b
    c = 134217729.0 * a
    a1 = c - (c - a)
    c = 134217729.0 * b
    b1 = c - (c - b)
    a0, b0 = a - a1, b - b1
    return p, a0 * b0 - (((p - a1 * b1) - a0 * b1) - a1 * b0)


@numba.njit(cache=True, nogil=True)
def _add(total: Array, n: int, value: float) -> int:
    """Add a number to an expansion of n parts that do not overlap; the smallest stands first."""
    for k in range(n):
        value, total[k] = _sum(value, total[k])
    total[n] = value
    return n + 1
