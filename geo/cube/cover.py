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

from geo.compiled import borrowing, comparing
from geo.corners import corners
from geo.cube.build import BLOCK_COLUMNS, BLOCKS_PER_DEGREE
from geo.cube.edges import LONGEST, search
from geo.cube.runs import runs, stretches
from geo.shapes import ShapeError

Array = npt.NDArray[Any]

#: edge pieces (an edge in a row) of one question: 40 bytes each at most while it is laid out
MOST_PIECES = 1 << 24
# Edges are widened by this part of a spot. Rounding moves a point or an edge by less than 1e-9.
MARGIN = 1e-6
SPOTS = 32  # along a side of a tile: bits of a row
EVERY = (1 << SPOTS) - 1
_SPOT_BITS = 5  # of SPOTS


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
    within, edged : uint32 (r, 32) or (r, 1)
        Bit c of row q: that spot of the tile lies inside; an edge touches it.
    stretch_at : int32 (r, 32) or (r, 1)
        First stretch of the row that ends in the tile or to its right.
    stretch : int32 (m, 4)
        First run, stop, whether the spot to the left lies inside, last column.
    run_from : int32 (p,)
        Column where the run begins (ascending in a stretch).
    run_edge : int32 (p, 2)
        Its first edge, stop.
    u, v : float64 (v + LONGEST,)
        Vertices in columns and rows, and zeros.
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
    u: Array
    v: Array
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


@comparing
def extent(u: Array, v: Array) -> tuple[float, float, float, float]:
    """Find least and most of both; no corner is nan, so that many are looked at together."""
    u_low, u_high, v_low, v_high = u[0], u[0], v[0], v[0]
    for i in range(len(u)):
        u_low, u_high = min(u[i], u_low), max(u[i], u_high)
        v_low, v_high = min(v[i], v_low), max(v[i], v_high)
    return u_low, u_high, v_low, v_high


@borrowing
def _spans(
    span: Array,
    r0: int,
    r1: int,
    row0: int,
    lines: int,
    side: int,
    column0: int,
    column1: int,
    of_row: Array,
    stretch: Array,
    begins: Array,
) -> int:
    """Find the tiles that edges touch and those between, of rows r0 to r1, which mostly repeat the last.

    Parameters
    ----------
    span : int64 (two for each stretch, 4)
        Written: line, 0 touched or 1 between, first tile, last tile.

    Returns
    -------
    int
        How many.

    """
    rows_of_block = side * lines
    n_span, before, n_before = 0, np.int64(0), np.int64(0)
    for r in range(r0, r1 + 1):
        line = (r + row0) % rows_of_block // lines
        low, high = np.int64(of_row[r]), np.int64(of_row[r + 1])
        if (r + row0) % lines == 0:
            n_before = 0
        for s in range(low, high):
            t0, t1 = np.int64(begins[s]) >> _SPOT_BITS, np.int64(stretch[s, 3]) >> _SPOT_BITS
            between = stretch[s, 2]
            p = before + s - low
            if s - low < n_before and (
                (t0 == begins[p] >> _SPOT_BITS) & (t1 == stretch[p, 3] >> _SPOT_BITS)
                & (between == stretch[p, 2])
            ) and (
                not between
                or ((begins[s] - 1) >> _SPOT_BITS == (begins[p] - 1) >> _SPOT_BITS
                    and (stretch[s - 1, 3] + 1) >> _SPOT_BITS == (stretch[p - 1, 3] + 1) >> _SPOT_BITS)
            ):  # fmt: skip
                continue
            for inner in range(2):
                if inner:
                    if not between:
                        continue
                    c0, c1 = np.int64(stretch[s - 1, 3]) + 1, np.int64(begins[s]) - 1
                else:
                    c0, c1 = np.int64(begins[s]), np.int64(stretch[s, 3])
                c0, c1 = max(c0, column0), min(c1, column1)
                if c0 <= c1:
                    span[n_span, 0], span[n_span, 1] = line, inner
                    span[n_span, 2], span[n_span, 3] = c0 >> _SPOT_BITS, c1 >> _SPOT_BITS
                    n_span += 1
        before, n_before = low, high - low
    return n_span


@borrowing
def _spots(
    within: Array,
    edged: Array,
    stretch_at: Array,
    here: int,
    n_rim: int,
    rim: Array,
    tile_id: Array,
    block_key: Array,
    key: int,
    side: int,
    half: int,
    at_row: Array,
    first_row: int,
    of_row: Array,
    stretch: Array,
    begins: Array,
) -> None:
    """Write the spots of the rim's tiles from `here` to `n_rim`, all in one line, west to east.

    Parameters
    ----------
    at_row : int64 (lines, 2)
        Room for the first stretch of each row that may touch, and the stop.

    """
    lines, bits = len(at_row), half + _SPOT_BITS
    for q in range(lines):
        r = first_row + q
        there = 0 <= r < len(of_row) - 1
        at_row[q, 0] = of_row[r] if there else 0
        at_row[q, 1] = of_row[r + 1] if there else 0
    for i in range(here, n_rim):
        column = np.int64(tile_id[rim[i, 0]]) & (side - 1)
        block = np.int64(block_key[rim[i, 1]]) - key
        west_end = (block << bits) + (column << _SPOT_BITS)
        for q in range(lines):
            s, s1 = at_row[q, 0], at_row[q, 1]
            while s < s1 and stretch[s, 3] < west_end:
                s += 1
            at_row[q, 0] = s
            inside_bits, edge_bits, c, k = np.int64(0), np.int64(0), np.int64(0), s
            while k < s1:
                g = min(max(np.int64(begins[k]) - west_end, 0), SPOTS)
                inside_bits |= ((1 << g) - (1 << c)) * np.int64(stretch[k, 2])
                c = max(min(np.int64(stretch[k, 3]) + 1 - west_end, SPOTS), g)
                edge_bits |= (1 << c) - (1 << g)
                k += 1
                if c == SPOTS:
                    break
            within[i, q], edged[i, q] = inside_bits, edge_bits
            stretch_at[i, q] = s


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
) -> tuple[bool, Array, Array, Array, Array, Array, Array, Array, Array, Array, Array, Array]:
    """Do as `cover` with compiled means; False first: more than `most` pieces."""
    whole, tiles = np.empty((512, 1), np.int64), np.empty((512, 2), np.int64)
    rim, n_whole, n_in, n_rim = np.empty((512, 2), np.int64), 0, 0, 0
    lines = SPOTS // height  # rows of a tile
    within, edged = np.empty((256, lines), np.uint32), np.empty((256, lines), np.uint32)
    stretch_at = np.empty((256, lines), np.int32)
    # powers of two: shifting is many times quicker than dividing
    half = 0
    while 1 << half < side:
        half += 1
    width = side * SPOTS  # columns of a block
    rows_of_block = side * lines
    column0, column1, row0, row1 = 0, -1, 0, -1
    # a run is read as if it had the most edges
    padded = np.zeros((2, len(x) + LONGEST))
    padded_u, padded_v = padded[0], padded[1]
    u, v = padded_u[: len(x)], padded_v[: len(x)]
    if len(block_key) and len(x):
        to_column, to_row = BLOCKS_PER_DEGREE * width, BLOCKS_PER_DEGREE * rows_of_block
        for i in range(len(x)):
            u[i], v[i] = (x[i] + 180.0) * to_column, (y[i] + 90.0) * to_row
        u_low, u_high, v_low, v_high = extent(u, v)
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
    empty = row1 < row0 or column1 < column0
    if not empty:
        start, first, final, edge = runs(
            u, v, last, margin, above, most, row0, row1, column0, column1
        )
    if empty or start[-1] > most:
        return (empty, whole[:0, 0].copy(), tiles[:0], rim[:0], within[:0], edged[:0], stretch_at[:0],
                np.empty((0, 4), np.int32), np.empty(0, np.int32), np.empty((0, 2), np.int32), padded_u,
                padded_v)  # fmt: skip
    of_row, stretch, begins = stretches(v, row0, start, first, final, edge)

    left = column0 // width
    n_columns = column1 // width - left + 1
    three = np.empty((3, n_columns + 1), np.int64)
    at_block, touched, full = three[0], three[1], three[2]
    opened = np.empty((n_columns, 4), np.int64)  # block, its place in a line, next tile, stop
    at_row = np.empty((lines, 2), np.int64)
    span = np.empty((256, 4), np.int64)  # line, whether between, first tile, last
    for block_row in range(row0 // rows_of_block, row1 // rows_of_block + 1):
        key = block_row * BLOCK_COLUMNS
        b0 = search(block_key, 0, len(block_key), key + left)
        b1 = search(block_key, b0, len(block_key), key + left + n_columns)
        if b0 == b1:
            continue
        r0 = max(block_row * rows_of_block, row0) - row0
        r1 = min(block_row * rows_of_block + rows_of_block - 1, row1) - row0
        most_spans = 2 * (np.int64(of_row[r1 + 1]) - np.int64(of_row[r0]))
        if most_spans > len(span):
            span = np.empty((2 * most_spans, 4), np.int64)
        n_span = _spans(span, r0, r1, row0, lines, side, column0, column1, of_row, stretch, begins)
        # columns of blocks: which an edge touches, which lie inside
        touched[:], full[:] = 0, 0
        for k in range(n_span):
            c0, c1 = (span[k, 2] >> half) - left, (span[k, 3] >> half) + 1 - left
            if span[k, 1]:
                full[c0] += 1
                full[c1] -= 1
            else:
                touched[c0] += 1
                touched[c1] -= 1
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
        both = np.zeros((2, side, n_tiles + 1), np.int32)
        state, gap = both[0], both[1]
        for k in range(n_span):
            line = span[k, 0]
            # tiles before the first, and with the last, among those of the columns touched
            c = (span[k, 2] >> half) - left
            p0 = at_block[c] << half
            if touched[c] > 0:
                p0 += span[k, 2] & (side - 1)
            c = (span[k, 3] >> half) - left
            p1 = at_block[c] << half
            if touched[c] > 0:
                p1 += (span[k, 3] & (side - 1)) + 1
            if span[k, 1]:
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
            _spots(
                within, edged, stretch_at, here, n_rim, rim, tile_id, block_key, key, side, half, at_row,
                block_row * rows_of_block + line * lines - row0, of_row, stretch, begins,
            )  # fmt: skip
    return (True, whole[:n_whole, 0].copy(), tiles[:n_in], rim[:n_rim], within[:n_rim],
            edged[:n_rim], stretch_at[:n_rim], stretch, first, edge, padded_u, padded_v)  # fmt: skip
