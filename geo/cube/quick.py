"""How many events in a polygon, by one call of compiled code. May import numpy, numba.

Promises: the same count as piece by piece (`geo.cube.engine`), of which it is made; only what makes a
small question long is left out: arrays handed to and fro, and Python between them.
"""

# ruff: noqa: PLR0917 compiled code takes plain arrays
# Python and numpy integers are one to the compiler:
# mypy: disable-error-code="assignment, arg-type, return-value, operator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from geo.cube.count import before, rim, slices_of
from geo.cube.cover import SPOTS, lay
from geo.cube.disc import NOT_ROUND, disc
from geo.cube.edges import search
from geo.cube.views import (
    BASE,
    FIRST,
    SHIFT,
    SIDE,
    WORDS,
    as_cube,
    as_int32,
    as_int64,
    as_points,
    as_uint8,
    as_uint16,
    as_uint32,
)

Array = npt.NDArray[Any]

# places of `geo.cube.views.COLUMNS`
_BLOCK_KEY, _BLOCK_TILES, _TILE_ID = FIRST, FIRST + WORDS, FIRST + 2 * WORDS
_TILE_START, _TIME, _KIND = FIRST + 3 * WORDS, FIRST + 4 * WORDS, FIRST + 5 * WORDS
_CELL, _POINT, _CUBE_ROW = FIRST + 6 * WORDS, FIRST + 7 * WORDS, FIRST + 8 * WORDS
_CUBE, _PART_START, _PART = FIRST + 9 * WORDS, FIRST + 10 * WORDS, FIRST + 11 * WORDS
_STEP_EDGE = FIRST + 12 * WORDS


@numba.njit(cache=True, nogil=True)
def polygon(
    words: Array,
    x: Array,
    y: Array,
    last: Array,
    margin: float,
    most: int,
    kinds: Array,
    start: int,
    end: int,
    by_kind: Array,
) -> int:
    """Count the events of a polygon in [start, end), seconds since 1970.

    Parameters
    ----------
    words : int64
        See `geo.cube.views.table`; its arrays must live.
    x, y, last
        See `geo.corners.Corners`.
    margin, most
        See `geo.cube.cover`.
    kinds : bool (K,)
        Kinds that count.
    by_kind : int64 (K,) or (0,)
        Counts by kind, added to; empty: not wanted.

    Returns
    -------
    int
        -1: more than `most` edge pieces.

    """
    return counted(
        words[BASE], words[SIDE], words[SHIFT],
        as_int32(words, _BLOCK_KEY), as_uint32(words, _BLOCK_TILES), as_uint8(words, _TILE_ID),
        as_uint32(words, _TILE_START), as_uint32(words, _TIME), as_uint8(words, _KIND),
        as_uint16(words, _CELL), as_points(words, _POINT), as_int32(words, _CUBE_ROW),
        as_cube(words, _CUBE), as_uint32(words, _PART_START), as_uint16(words, _PART),
        as_int64(words, _STEP_EDGE), x, y, last, margin, most, kinds, start, end, by_kind,
    )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def counted(  # noqa: PLR0912 what is asked for may be empty at every step
    base: int,
    side: int,
    shift: int,
    block_key: Array,
    block_tiles: Array,
    tile_id: Array,
    tile_start: Array,
    time: Array,
    kind: Array,
    cell: Array,
    point: Array,
    cube_row: Array,
    cube: Array,
    part_start: Array,
    part: Array,
    step_edge: Array,
    x: Array,
    y: Array,
    last: Array,
    margin: float,
    most: int,
    kinds: Array,
    start: int,
    end: int,
    by_kind: Array,
) -> int:
    """Do as `polygon`, with the arrays of `geo.cube.build` themselves."""
    start, end = max(start, step_edge[0]), min(end, step_edge[-1])
    if start >= end:
        return 0
    final = step_edge[-1] - base - 1
    if len(by_kind) == 0 and kinds.all():
        there = disc(
            x, y, last, side, block_key, block_tiles, tile_id, tile_start, time, cell, point,
            start - base, end - base, final,
        )  # fmt: skip
        if there != NOT_ROUND:
            return there
    found = lay(x, y, last, margin, most, side, 1, block_key, block_tiles, tile_id)
    if not found[0]:
        found = lay(x, y, last, margin, most, side, SPOTS, block_key, block_tiles, tile_id)
        if not found[0]:
            return -1
    blocks, tiles, edge = found[1], found[2], found[3]
    total, more = np.int64(0), np.int64(0)
    for b in blocks:
        if cube_row[b] < 0:
            more += np.int64(block_tiles[b + 1]) - np.int64(block_tiles[b])
    if more:
        # of blocks that are not in the cube the tiles are counted
        n, at = 0, len(tiles)
        wider = np.empty((at + more, 2), np.int64)
        wider[:at] = tiles
        for b in blocks:
            if cube_row[b] >= 0:
                blocks[n] = b
                n += 1
                continue
            for t in range(np.int64(block_tiles[b]), np.int64(block_tiles[b + 1])):
                wider[at, 0], wider[at, 1] = t, b
                at += 1
        blocks, tiles = blocks[:n], wider
    if len(blocks):
        counts = np.zeros((2, len(kinds)), np.int64)
        for n in range(2):
            moment = start if n == 0 else end
            step = search(step_edge, 0, len(step_edge), moment + 1) - 1
            before(
                counts[n], blocks, cube_row, cube, part_start, part, shift, kinds,
                len(by_kind) > 0, step, moment - step_edge[step], moment - base, block_tiles,
                tile_start, time, kind,
            )  # fmt: skip
        for k in range(len(kinds)):
            total += counts[1, k] - counts[0, k]
            if len(by_kind):
                by_kind[k] += counts[1, k] - counts[0, k]
    start, end = start - base, end - base
    if len(tiles):
        total += slices_of(tiles, tile_start, time, kind, kinds, start, end, final, by_kind)
    if len(edge):
        total += rim(
            edge, found[4], found[5], found[6], found[7], found[8], found[9], found[10], found[11], x, y, block_key, side,
            tile_id, tile_start, time, kind, cell, point, kinds, start, end, final, True, False, by_kind,
        )[0]  # fmt: skip
    return total
