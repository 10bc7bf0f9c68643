"""Which tiles an area holds whole and which its edges touch. May import numpy, numba.

Promises: a block, tile or spot that is reported as inside lies inside, edges and rounding
included; one that is not reported at all holds nothing of the area; in every other spot
`geo.cube.edges.inside` decides exactly. Coordinates are multiplied and rounded only to choose
spots; the exact test takes them as they are.
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

from geo.cube.build import BLOCK_COLUMNS, BLOCKS_PER_DEGREE, SPOTS
from geo.shapes import ShapeError

Array = npt.NDArray[Any]

#: edge pieces (an edge in a row) of one question: 32 bytes each while it is laid out
MOST_PIECES = 1 << 24
# Edges are widened by this part of a spot. Rounding moves a point or an edge by less than 1e-9.
MARGIN = 1e-6
_SPOT_BITS = 4  # of SPOTS


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
        First piece, stop, whether the spot to the left lies inside, last column.
    piece_from, piece_edge : int32 (p,)
        Column where the piece begins (ascending in a stretch) and its edge.
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
        Spots, by which edges are widened.

    Raises
    ------
    ShapeError
        `too_complex`: more than `MOST_PIECES` edge pieces over the snapshot's tiles.

    """
    x, y, last = _rings(area)
    side = int(arrays["side"][0])
    for height in (1, SPOTS):
        found = _cover(
            x, y, last, margin, MOST_PIECES, side, height,
            arrays["block_key"], arrays["block_tiles"], arrays["tile_id"],
        )  # fmt: skip
        if found[0]:
            return Cover(*found[1:], x, y)
    raise ShapeError("too_complex", "too many edges run through the map: simplify the area")


def _rings(area: shapely.Geometry) -> tuple[Array, Array, Array]:
    """Vertices of all rings, one after the other, and whether each is the last of its ring."""
    one = area
    if area.geom_type == "MultiPolygon" and shapely.get_num_geometries(area) == 1:
        one = shapely.get_geometry(area, 0)
    if one.geom_type == "Polygon" and not shapely.get_num_interior_rings(one):
        points = shapely.get_coordinates(one)
        last = np.zeros(len(points), np.bool_)
        last[-1] = True
    else:
        rings = shapely.get_rings(shapely.get_parts(area))
        points, ring = shapely.get_coordinates(rings, return_index=True)
        last = np.append(ring[1:] != ring[:-1], True)
    return points[:, 0].copy(), points[:, 1].copy(), last


@numba.njit(cache=True, nogil=True)
def _grown(array: Array, size: int) -> Array:
    wider = np.empty((size, array.shape[1]), array.dtype)
    wider[: len(array)] = array
    return wider


@numba.njit(cache=True, nogil=True)
def _pieces(
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
    """Cut edges at the rows they touch.

    Returns
    -------
    start : int64 (rows + 1,)
        First piece of each row; the last is above `most` when there are too many.
    first, final, edge : int32 (pieces,)
        Columns that a piece touches, and its edge; ascending by `first` in a row.

    """
    start = np.zeros(row1 - row0 + 2, np.int64)
    n = len(u) - 1
    lows, highs = np.empty(n, np.int32), np.empty(n, np.int32)
    for i in range(n):
        # what joins two rings is no edge
        lows[i] = max(int(min(v[i], v[i + 1]) - above), row0) if not last[i] else 1
        highs[i] = min(int(max(v[i], v[i + 1]) + above), row1) if not last[i] else 0
        for r in range(lows[i], highs[i] + 1):
            start[r - row0 + 1] += 1
    for r in range(len(start) - 1):
        start[r + 1] += start[r]
    total = start[-1]
    if total > most:
        none = np.empty(0, np.int32)
        return start, none, none, none
    given, at = np.empty((total, 4), np.int32), 0
    west = column0 - 1
    of_column = np.zeros(column1 - column0 + 4, np.int64)
    for i in range(n):
        v0, v1, u0, u1 = v[i], v[i + 1], u[i], u[i + 1]
        low, high = np.int64(lows[i]), np.int64(highs[i])
        left, right = min(u0, u1), max(u0, u1)
        slope = 0.0
        if low < high and v0 != v1:
            slope = (u1 - u0) / (v1 - v0)
        for r in range(low, high + 1):
            a, b = left, right
            if slope != 0.0:
                # where the edge enters and leaves the row
                ua = u0 + (r - above - v0) * slope
                ub = u0 + (r + 1 + above - v0) * slope
                a, b = max(left, min(ua, ub)), min(right, max(ua, ub))
            # what lies beside the map is one column beside it: it only counts for what lies inside
            c = min(max(int(a - margin), west), column1 + 1)
            of_column[c - west + 1] += 1
            given[at, 0], given[at, 1] = r - row0, c
            given[at, 2], given[at, 3] = min(max(int(b + margin), west), column1 + 1), i
            at += 1
    # by column, then by row: each is put where it belongs, nothing is compared
    for c in range(len(of_column) - 1):
        of_column[c + 1] += of_column[c]
    order = np.empty(total, np.int32)
    for k in range(total):
        c = given[k, 1] - west
        order[of_column[c]] = k
        of_column[c] += 1
    first, final = np.empty(total, np.int32), np.empty(total, np.int32)
    edge = np.empty(total, np.int32)
    fill = start[:-1].copy()
    for k in order:
        r = given[k, 0]
        p = fill[r]
        first[p], final[p], edge[p] = given[k, 1], given[k, 2], given[k, 3]
        fill[r] = p + 1
    return start, first, final, edge


@numba.njit(cache=True, nogil=True)
def _stretches(
    v: Array, row0: int, start: Array, first: Array, final: Array, edge: Array
) -> tuple[Array, Array, Array]:
    """Join pieces of a row whose columns hang together; between them nothing changes.

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
                odd ^= (v[edge[k]] > centre) != (v[edge[k] + 1] > centre)
                k += 1
            stretch[m, 1], stretch[m, 3] = k, reach
            m += 1
        of_row[r + 1] = m
    return of_row, stretch[:m], begins[:m]


@numba.njit(cache=True, nogil=True)
def _cover(  # noqa: PLR0912, PLR0915 one pass over rows of blocks, cut by comments
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
    whole, tiles = np.empty((512, 1), np.int64), np.empty((512, 2), np.int64)
    rim, n_whole, n_in, n_rim = np.empty((512, 2), np.int64), 0, 0, 0
    lines = SPOTS // height  # rows of a tile
    within, edged = np.empty((256, lines), np.uint16), np.empty((256, lines), np.uint16)
    stretch_at = np.empty((256, lines), np.int32)
    none = np.empty(0, np.int32)
    no_stretch = np.empty((0, 4), np.int32)
    # powers of two: shifting is many times quicker than dividing
    half = 0
    while 1 << half < side:
        half += 1
    bits = half + _SPOT_BITS
    width = side * SPOTS  # columns of a block
    rows_of_block = side * lines
    column0, column1, row0, row1 = 0, -1, 0, -1
    if len(block_key) and len(x):
        u, v = (
            (x + 180.0) * (BLOCKS_PER_DEGREE * width),
            (y + 90.0) * (BLOCKS_PER_DEGREE * rows_of_block),
        )
        # the columns and rows of the area that the snapshot can hold
        above = margin / height + 1e-6
        south, north = block_key[0] // BLOCK_COLUMNS, block_key[-1] // BLOCK_COLUMNS
        row0 = max(south * rows_of_block, int(v.min() - above))
        row1 = min(north * rows_of_block + rows_of_block - 1, int(v.max() + above))
        west, east = np.int64(BLOCK_COLUMNS), np.int64(0)
        if row0 <= row1:
            b0 = np.searchsorted(block_key, row0 // rows_of_block * BLOCK_COLUMNS)
            b1 = np.searchsorted(block_key, (row1 // rows_of_block + 1) * BLOCK_COLUMNS)
            for b in range(b0, b1):
                column = np.int64(block_key[b]) % BLOCK_COLUMNS
                west, east = min(west, column), max(east, column)
        column0 = max(west * width, int(u.min() - margin))
        column1 = min(east * width + width - 1, int(u.max() + margin))
    if row1 < row0 or column1 < column0:
        return (True, whole[:0, 0].copy(), tiles[:0], rim[:0], within[:0], edged[:0], stretch_at[:0],
                no_stretch, none, none)  # fmt: skip
    start, first, final, edge = _pieces(
        u, v, last, margin, above, most, row0, row1, column0, column1
    )
    if start[-1] > most:
        return (False, whole[:0, 0].copy(), tiles[:0], rim[:0], within[:0], edged[:0], stretch_at[:0],
                no_stretch, none, none)  # fmt: skip
    of_row, stretch, begins = _stretches(v, row0, start, first, final, edge)

    left = column0 // width
    n_columns = column1 // width - left + 1
    at_block = np.empty(n_columns + 1, np.int64)
    touched, full = np.empty(n_columns + 1, np.int64), np.empty(n_columns + 1, np.int64)
    opened = np.empty((n_columns, 4), np.int64)  # block, its place in a line, next tile, stop
    west_ends = np.empty(64, np.int64)  # first column of each tile
    for block_row in range(row0 // rows_of_block, row1 // rows_of_block + 1):
        key = block_row * BLOCK_COLUMNS
        b0 = np.searchsorted(block_key, key + left)
        b1 = np.searchsorted(block_key, key + left + n_columns)
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
