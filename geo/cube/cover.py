"""Which tiles an area holds whole and which its edges touch. May import numpy, numba.

Promises: a block, tile or spot that is reported as inside lies inside, edges and rounding
included; one that is not reported at all holds nothing of the area; in every other spot
`geo.cube.edges.inside` decides exactly. Coordinates are multiplied and rounded only to choose
spots; the exact test takes them as they are.
"""

# ruff: noqa: PLR0917 compiled code takes plain arrays
# Python and numpy integers are one to the compiler:
# mypy: disable-error-code="assignment, arg-type, return-value, operator"

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import shapely

from geo.corners import corners
from geo.cube.build import BLOCK_COLUMNS, BLOCKS_PER_DEGREE, SPOTS
from geo.cube.edges import search
from geo.shapes import ShapeError

Array = npt.NDArray[Any]

#: edge pieces (an edge in a row) of one question: 40 bytes each at most while it is laid out
MOST_PIECES = 1 << 24
# Edges are widened by this part of a spot. Rounding moves a point or an edge by less than 1e-9.
MARGIN = 1e-6
_SPOT_BITS = 4  # of SPOTS
_LONGEST = 8  # edges of a run: a point is tested against whole runs
_FEW = 24  # runs of a row that are put in order one by one


class Cover(NamedTuple):
    """An area in terms of a snapshot's blocks, tiles and spots.

    Rows of spots are cut into stretches, where edges run, and what is between them. With very many
    edges a row is as high as a tile, not as a spot.

    Attributes
    ----------
    blocks : int64 (w,)
        Blocks that lie inside as a whole.
    tiles : int64 (s, 2)
        Tile, block of tiles that lie inside.
    rim : int64 (r, 2)
        Tile, block of tiles that an edge touches.
    within, edged : uint16 (r, 16) or (r, 1)
        Bit c of row q: that spot of the tile lies inside; an edge touches it.
    stretch_at : int32 (r, 16) or (r, 1)
        First stretch of the row that ends in the tile or to its right.
    stretch : int32 (m, 4)
        First run, stop, whether the spot to the left lies inside, last column.
    run_from : int32 (p,)
        Column where the run begins (ascending in a stretch).
    run_edge : int32 (p, 2)
        Its first edge, stop.
    x, y : float64 (v,)
        Vertices; edge i runs from vertex i to i + 1.

    """

    blocks: Array
    tiles: Array
    rim: Array
    within: Array
    edged: Array
    stretch_at: Array
    stretch: Array
    run_from: Array
    run_edge: Array
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
        Spots, by which edges are widened.

    Raises
    ------
    ShapeError
        `too_complex`: more than `MOST_PIECES` edge pieces over the snapshot's tiles.

    """
    x, y, last = corners(area)
    side = int(arrays["side"][0])
    for height in (1, SPOTS):
        found = lay(
            x, y, last, margin, MOST_PIECES, side, height,
            arrays["block_key"], arrays["block_tiles"], arrays["tile_id"],
        )  # fmt: skip
        if found[0]:
            return Cover(*found[1:], x, y)
    raise too_complex()


def too_complex() -> ShapeError:
    """Make the refusal of an area with too many edges."""
    return ShapeError("too_complex", "too many edges run through the map: simplify the area")


@numba.njit(cache=True, nogil=True)
def _grown(array: Array, size: int) -> Array:
    wider = np.empty((size, array.shape[1]), array.dtype)
    wider[: len(array)] = array
    return wider


@numba.njit(cache=True, nogil=True)
def _in_order(start: Array, row: Array, column: Array) -> Array:
    """Order of runs by row, in it by column; `start` (rows + 1,): place of each row's first."""
    order = np.empty(len(row), np.int32)
    fill = start[:-1].copy()
    for k in range(len(row)):
        order[fill[row[k]]] = k
        fill[row[k]] += 1
    for r in range(len(start) - 1):
        a, b = start[r], start[r + 1]
        if b - a > _FEW:
            order[a:b] = order[a:b][np.argsort(column[order[a:b]], kind="mergesort")]
            continue
        for p in range(a + 1, b):
            k, q = order[p], p
            while q > a and column[order[q - 1]] > column[k]:
                order[q] = order[q - 1]
                q -= 1
            order[q] = k
    return order


@numba.njit(cache=True, nogil=True)
def _extents(
    u: Array,
    v: Array,
    last: Array,
    margin: float,
    above: float,
    row0: int,
    row1: int,
    west: int,
    east: int,
) -> tuple[int, Array, Array, Array, Array]:
    """Find how many rows the edges touch together, and of each the first row, last row, columns.

    What lies beside the map is one column beside it: it only counts for what lies inside. What joins
    two rings is no edge and touches no row. A loop without branches.
    """
    n, pieces = len(u) - 1, np.int64(0)
    low, high = np.empty(n, np.int32), np.empty(n, np.int32)
    left, right = np.empty(n, np.int32), np.empty(n, np.int32)
    for i in range(n):
        v0, v1, u0, u1 = v[i], v[i + 1], u[i], u[i + 1]
        r0 = max(np.int32(min(v0, v1) - above), np.int32(row0))
        r1 = min(np.int32(max(v0, v1) + above), np.int32(row1))
        r1 = np.int32(-1) if last[i] else r1
        low[i], high[i] = r0, r1
        left[i] = min(max(np.int32(min(u0, u1) - margin), np.int32(west)), np.int32(east))
        right[i] = min(max(np.int32(max(u0, u1) + margin), np.int32(west)), np.int32(east))
        pieces += max(np.int64(r1) - np.int64(r0) + 1, 0)
    return pieces, low, high, left, right


@numba.njit(cache=True, nogil=True)
def _runs(
    u: Array,
    v: Array,
    last: Array,
    margin: float,
    above: float,
    most: int,
    row0: int,
    row1: int,
    column0: int,
    column1: int,
) -> tuple[Array, Array, Array, Array]:
    """Find the rows that edges touch; edges that follow each other in a row are one run.

    Returns
    -------
    start : int64 (rows + 1,)
        First run of each row; the last is above `most` when there are too many.
    first, final : int32 (runs,)
        Columns that a run touches; ascending by `first` in a row.
    edge : int32 (runs, 2)
        First edge, stop.

    """
    start = np.zeros(row1 - row0 + 2, np.int64)
    n = len(u) - 1
    west, east = column0 - 1, column1 + 1
    pieces, low, high, left, right = _extents(u, v, last, margin, above, row0, row1, west, east)
    if pieces > most:
        start[-1] = pieces
        none = np.empty(0, np.int32)
        return start, none, none, np.empty((0, 2), np.int32)
    run_row, run_c0, run_c1 = (
        np.empty(pieces, np.int32), np.empty(pieces, np.int32), np.empty(pieces, np.int32)
    )  # fmt: skip
    run_0, run_1 = np.empty(pieces, np.int32), np.empty(pieces, np.int32)
    latest = np.full(row1 - row0 + 1, -1, np.int32)  # run of each row
    m, i = 0, 0
    while i < n:
        stop = i + 1
        if low[i] == high[i]:
            # edges that stay in one row
            longest = min(i + _LONGEST, n)
            while stop < longest and low[stop] == low[i] and high[stop] == low[i]:
                stop += 1
        slope = 0.0
        if low[i] < high[i] and v[i] != v[i + 1]:
            slope = (u[i + 1] - u[i]) / (v[i + 1] - v[i])
        for r in range(low[i], high[i] + 1):
            c0, c1 = np.int64(left[i]), np.int64(right[i])
            if slope != 0.0:
                # where the edge enters and leaves the row
                ua = u[i] + (r - above - v[i]) * slope
                ub = u[i] + (r + 1 + above - v[i]) * slope
                a = max(min(u[i], u[i + 1]), min(ua, ub))
                b = min(max(u[i], u[i + 1]), max(ua, ub))
                c0 = min(max(int(a - margin), west), east)
                c1 = min(max(int(b + margin), west), east)
            for k in range(i + 1, stop):
                c0, c1 = min(c0, np.int64(left[k])), max(c1, np.int64(right[k]))
            k = latest[r - row0]
            if k >= 0 and run_1[k] == i and stop - run_0[k] <= _LONGEST:
                run_1[k] = stop
                run_c0[k], run_c1[k] = min(run_c0[k], c0), max(run_c1[k], c1)
                continue
            run_row[m], run_0[m], run_1[m] = r - row0, i, stop
            run_c0[m], run_c1[m] = c0, c1
            latest[r - row0] = m
            start[r - row0 + 1] += 1
            m += 1
        i = stop
    for r in range(len(start) - 1):
        start[r + 1] += start[r]
    order = _in_order(start, run_row[:m], run_c0)
    first, final = np.empty(m, np.int32), np.empty(m, np.int32)
    edge = np.empty((m, 2), np.int32)
    for p in range(m):
        k = order[p]
        first[p], final[p] = run_c0[k], run_c1[k]
        edge[p, 0], edge[p, 1] = run_0[k], run_1[k]
    return start, first, final, edge


@numba.njit(cache=True, nogil=True)
def _stretches(
    v: Array, row0: int, start: Array, first: Array, final: Array, edge: Array
) -> tuple[Array, Array, Array]:
    """Join runs of a row whose columns hang together; between them nothing changes.

    Returns
    -------
    stretch_start : int32 (rows + 1,)
        First stretch of each row.
    stretch : int32 (m, 4)
        See `Cover`.
    stretch_from : int32 (m,)
        First column.

    """
    rows = len(start) - 1
    stretch, begins = np.empty((len(first), 4), np.int32), np.empty(len(first), np.int32)
    of_row = np.zeros(rows + 1, np.int32)
    m = 0
    for r in range(rows):
        k, high = start[r], start[r + 1]
        centre, odd = r + row0 + 0.5, 0
        while k < high:
            stretch[m, 0], stretch[m, 2] = k, odd
            begins[m], reach = first[k], final[k]
            while k < high and first[k] <= reach + 1:
                reach = max(reach, final[k])
                # edges of a run follow each other: only its ends count
                odd ^= (v[edge[k, 0]] > centre) != (v[edge[k, 1]] > centre)
                k += 1
            stretch[m, 1], stretch[m, 3] = k, reach
            m += 1
        of_row[r + 1] = m
    return of_row, stretch[:m], begins[:m]


@numba.njit(cache=True, nogil=True)
def lay(  # noqa: PLR0912, PLR0915 one pass over rows of blocks, cut by comments
    x: Array,
    y: Array,
    last: Array,
    margin: float,
    most: int,
    side: int,
    height: int,
    block_key: Array,
    block_tiles: Array,
    tile_id: Array,
) -> tuple[bool, Array, Array, Array, Array, Array, Array, Array, Array, Array]:
    """Do as `cover` with compiled means; False first: more than `most` pieces."""
    whole, tiles = np.empty((512, 1), np.int64), np.empty((512, 2), np.int64)
    rim, n_whole, n_in, n_rim = np.empty((512, 2), np.int64), 0, 0, 0
    lines = SPOTS // height  # rows of a tile
    within, edged = np.empty((256, lines), np.uint16), np.empty((256, lines), np.uint16)
    stretch_at = np.empty((256, lines), np.int32)
    none = np.empty(0, np.int32)
    no_stretch, no_run = np.empty((0, 4), np.int32), np.empty((0, 2), np.int32)
    # powers of two: shifting is many times quicker than dividing
    half = 0
    while 1 << half < side:
        half += 1
    bits = half + _SPOT_BITS
    width = side * SPOTS  # columns of a block
    rows_of_block = side * lines
    column0, column1, row0, row1 = 0, -1, 0, -1
    if len(block_key) and len(x):
        u, v = np.empty(len(x)), np.empty(len(x))
        to_column, to_row = BLOCKS_PER_DEGREE * width, BLOCKS_PER_DEGREE * rows_of_block
        u_low, u_high, v_low, v_high = np.inf, -np.inf, np.inf, -np.inf
        for i in range(len(x)):
            a, b = (x[i] + 180.0) * to_column, (y[i] + 90.0) * to_row
            u[i], v[i] = a, b
            u_low, u_high = min(a, u_low), max(a, u_high)
            v_low, v_high = min(b, v_low), max(b, v_high)
        # the columns and rows of the area that the snapshot can hold
        above = margin / height + 1e-6
        south, north = block_key[0] // BLOCK_COLUMNS, block_key[-1] // BLOCK_COLUMNS
        row0 = max(south * rows_of_block, int(v_low - above))
        row1 = min(north * rows_of_block + rows_of_block - 1, int(v_high + above))
        west, east = np.int64(BLOCK_COLUMNS), np.int64(0)
        if row0 <= row1:
            b0 = search(block_key, 0, len(block_key), row0 // rows_of_block * BLOCK_COLUMNS)
            b1 = search(block_key, b0, len(block_key), (row1 // rows_of_block + 1) * BLOCK_COLUMNS)
            for b in range(b0, b1):
                column = np.int64(block_key[b]) % BLOCK_COLUMNS
                west, east = min(west, column), max(east, column)
        column0 = max(west * width, int(u_low - margin))
        column1 = min(east * width + width - 1, int(u_high + margin))
    if row1 < row0 or column1 < column0:
        return (True, whole[:0, 0].copy(), tiles[:0], rim[:0], within[:0], edged[:0], stretch_at[:0],
                no_stretch, none, no_run)  # fmt: skip
    start, first, final, edge = _runs(u, v, last, margin, above, most, row0, row1, column0, column1)
    if start[-1] > most:
        return (False, whole[:0, 0].copy(), tiles[:0], rim[:0], within[:0], edged[:0], stretch_at[:0],
                no_stretch, none, no_run)  # fmt: skip
    of_row, stretch, begins = _stretches(v, row0, start, first, final, edge)

    left = column0 // width
    n_columns = column1 // width - left + 1
    at_block = np.empty(n_columns + 1, np.int64)
    touched, full = np.empty(n_columns + 1, np.int64), np.empty(n_columns + 1, np.int64)
    opened = np.empty((n_columns, 4), np.int64)  # block, its place in a line, next tile, stop
    west_ends = np.empty(64, np.int64)  # first column of each tile
    for block_row in range(row0 // rows_of_block, row1 // rows_of_block + 1):
        key = block_row * BLOCK_COLUMNS
        b0 = search(block_key, 0, len(block_key), key + left)
        b1 = search(block_key, b0, len(block_key), key + left + n_columns)
        if b0 == b1:
            continue
        r0 = max(block_row * rows_of_block, row0) - row0
        r1 = min(block_row * rows_of_block + rows_of_block - 1, row1) - row0
        # columns of blocks: which an edge touches, which lie inside
        touched[:], full[:] = 0, 0
        for r in range(r0, r1 + 1):
            for s in range(of_row[r], of_row[r + 1]):
                c0, c1 = max(begins[s], column0), min(stretch[s, 3], column1)
                if c0 <= c1:
                    touched[(c0 >> bits) - left] += 1
                    touched[(c1 >> bits) + 1 - left] -= 1
                if stretch[s, 2]:
                    c0, c1 = max(stretch[s - 1, 3] + 1, column0), min(begins[s] - 1, column1)
                    if c0 <= c1:
                        full[(c0 >> bits) - left] += 1
                        full[(c1 >> bits) + 1 - left] -= 1
        n_edge = 0
        for c in range(n_columns):
            at_block[c] = n_edge
            if c:
                touched[c] += touched[c - 1]
                full[c] += full[c - 1]
            n_edge += touched[c] > 0
        at_block[n_columns] = n_edge
        for b in range(b0, b1):
            c = block_key[b] - key - left
            if touched[c] == 0 and full[c] > 0:
                if n_whole == len(whole):
                    whole = _grown(whole, 2 * n_whole)
                whole[n_whole, 0] = b
                n_whole += 1
        # tiles of the columns that an edge touches: 0 outside, 1 at the rim, 2 inside
        n_tiles = n_edge * side
        state = np.zeros((side, n_tiles + 1), np.int32)
        gap = np.zeros((side, n_tiles + 1), np.int32)
        for r in range(r0, r1 + 1):
            line = (r + row0) % rows_of_block // lines
            for s in range(of_row[r], of_row[r + 1]):
                for inner in range(2):
                    if inner:
                        if not stretch[s, 2]:
                            continue
                        c0, c1 = stretch[s - 1, 3] + 1, begins[s] - 1
                    else:
                        c0, c1 = begins[s], stretch[s, 3]
                    c0, c1 = max(c0, column0), min(c1, column1)
                    if c0 > c1:
                        continue
                    # tiles before the column, and with it, among those of the columns touched
                    c = (c0 >> bits) - left
                    p0 = at_block[c] << half
                    if touched[c] > 0:
                        p0 += c0 >> _SPOT_BITS & (side - 1)
                    c = (c1 >> bits) - left
                    p1 = at_block[c] << half
                    if touched[c] > 0:
                        p1 += (c1 >> _SPOT_BITS & (side - 1)) + 1
                    if inner:
                        gap[line, p0] += 1
                        gap[line, p1] -= 1
                    else:
                        state[line, p0] += 1
                        state[line, p1] -= 1
        for line in range(side):
            for p in range(n_tiles):
                if p:
                    state[line, p] += state[line, p - 1]
                    gap[line, p] += gap[line, p - 1]
        n_open = 0
        for b in range(b0, b1):
            c = np.int64(block_key[b]) - key - left
            if touched[c] > 0:
                opened[n_open, 0], opened[n_open, 1] = b, at_block[c] << half
                opened[n_open, 2], opened[n_open, 3] = block_tiles[b], block_tiles[b + 1]
                n_open += 1
        for line in range(side):
            here = n_rim
            # no checks further in: there are at most so many
            if n_rim + n_tiles > len(rim):
                rim = _grown(rim, 2 * (n_rim + n_tiles))
            if n_in + n_tiles > len(tiles):
                tiles = _grown(tiles, 2 * (n_in + n_tiles))
            past = (line + 1) << half
            for o in range(n_open):
                b, at, t, stop = opened[o, 0], opened[o, 1], opened[o, 2], opened[o, 3]
                while t < stop:
                    one = np.int64(tile_id[t])
                    if one >= past:
                        break
                    column = at + (one & (side - 1))
                    touch = state[line, column] > 0
                    # no branches: each is written, and stays when it is one
                    rim[n_rim, 0], rim[n_rim, 1] = t, b
                    tiles[n_in, 0], tiles[n_in, 1] = t, b
                    n_rim += touch
                    n_in += (not touch) and gap[line, column] > 0
                    t += 1
                opened[o, 2] = t
            if n_rim > len(within):
                within, edged = _grown(within, len(rim)), _grown(edged, len(rim))
                stretch_at = _grown(stretch_at, len(rim))
            if n_rim - here > len(west_ends):
                west_ends = np.empty(2 * (n_rim - here), np.int64)
            for i in range(here, n_rim):
                column = np.int64(tile_id[rim[i, 0]]) & (side - 1)
                block = np.int64(block_key[rim[i, 1]]) - key
                west_ends[i - here] = (block << bits) + (column << _SPOT_BITS)
            # spots of the tiles of the rim in this line, row by row
            for q in range(lines):
                r = block_row * rows_of_block + line * lines + q - row0
                s, s1 = np.int64(0), np.int64(0)
                if 0 <= r < len(of_row) - 1:
                    s, s1 = np.int64(of_row[r]), np.int64(of_row[r + 1])
                for i in range(here, n_rim):
                    west_end = west_ends[i - here]
                    while s < s1 and stretch[s, 3] < west_end:
                        s += 1
                    inside_bits, edge_bits = 0, 0
                    if s < s1 and begins[s] >= west_end + SPOTS:
                        inside_bits = 0xFFFF * stretch[s, 2]
                    elif s < s1:
                        c, k = np.int64(0), s
                        while c < SPOTS and k < s1:
                            g = min(max(np.int64(begins[k]) - west_end, 0), SPOTS)
                            if stretch[k, 2]:
                                inside_bits |= (1 << g) - (1 << c)
                            c = min(np.int64(stretch[k, 3]) + 1 - west_end, SPOTS)
                            if c > g:
                                edge_bits |= (1 << c) - (1 << g)
                            k += 1
                    within[i, q], edged[i, q] = inside_bits, edge_bits
                    stretch_at[i, q] = s
    return (True, whole[:n_whole, 0].copy(), tiles[:n_in], rim[:n_rim], within[:n_rim],
            edged[:n_rim], stretch_at[:n_rim], stretch, first, edge)  # fmt: skip
