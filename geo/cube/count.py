"""Compiled counting over the arrays of a snapshot. May import numpy, numba.

Promises: whole blocks are read from the cube, with a search for part days; whole tiles by a search
for the ends of the time; tiles of the rim spot by spot, event by event where an edge
touches the spot, with the exact test where it touches the event's cell. Nothing is rounded.
"""

# ruff: noqa: PLR0917 compiled code takes plain arrays
# Python and numpy integers are one to the compiler:
# mypy: disable-error-code="assignment, arg-type, return-value, operator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from geo.compiled import borrowing
from geo.cube.build import BLOCK_COLUMNS, CELLS
from geo.cube.cover import SPOTS
from geo.cube.edges import UNSURE, about, exactly, inside, search
from geo.cube.look import AT_ONCE, TOGETHER, look, lowest, ones
from geo.cube.slices import AHEAD, fetch, slices_in

Array = npt.NDArray[Any]

_TO_SPOT = (CELLS // SPOTS).bit_length() - 1  # bits of a cell inside its spot
_TO_ROW = 8 + _TO_SPOT
_ROUNDED = 1e-7  # of a spot; less than edges are widened by
_TOGETHER = 32  # seconds of a step that are compared at once


@numba.njit(cache=True, nogil=True)
def before(  # noqa: PLR0912 one loop, twice over the kinds
    out: Array,
    blocks: Array,
    cube_row: Array,
    cube: Array,
    part_start: Array,
    part: Array,
    shift: int,
    kinds: Array,
    apart: bool,
    step: int,
    second: int,
    moment: int,
    block_tiles: Array,
    tile_start: Array,
    time: Array,
    kind: Array,
) -> None:
    """Add to `out` (K,) the events of blocks of the cube before a moment.

    Parameters
    ----------
    out : int64 (K,)
        Counts by kind, added to.
    blocks : int64 (w,)
        Blocks that are in the cube.
    cube_row, cube, part_start, part, shift, block_tiles, tile_start, time, kind
        See `geo.cube.build`.
    kinds : bool (K,)
        Kinds that count.
    apart : bool
        Each kind by itself; without, only the sum of `out` is right.
    step, second, moment : int
        The moment: a step and the seconds since its start; seconds since `base`.

    """
    n_kinds = len(kinds)
    if second == 0:
        for k in range(n_kinds):
            if kinds[k]:
                for b in blocks:
                    out[k] += cube[step, k, cube_row[b]]
        return
    # where the events of the step stand of each block; kind by kind, as the cube lies in memory
    spans = np.empty((len(blocks), 2), np.int64)
    for i in range(len(blocks)):
        spans[i, 0] = spans[i, 1] = part_start[cube_row[blocks[i]]]
    for k in range(n_kinds):
        total = np.int64(0)
        for i in range(len(blocks)):
            r = np.int64(cube_row[blocks[i]])
            low = np.int64(cube[step, k, r])
            total += low
            spans[i, 0] += low
            spans[i, 1] += np.int64(cube[step + 1, k, r])
        out[k] += total if kinds[k] else 0
    short = second >> shift
    rest = second - (short << shift)
    together = kinds.all() and not apart
    tied = np.zeros(n_kinds, np.bool_)
    for first in range(0, len(blocks), AHEAD):
        stop = min(first + AHEAD, len(blocks))
        fetch(part, spans[first:stop], stop - first)
        for i in range(first, stop):
            b, low, high = blocks[i], spans[i, 0], spans[i, 1]
            ties = False
            if together:
                n, equal = _below(part, low, high, short)
                out[0] += n
                ties = rest > 0 and equal > 0
                tied[:] = ties
            else:
                r = np.int64(cube_row[b])
                for k in range(n_kinds):
                    high = low + np.int64(cube[step + 1, k, r]) - np.int64(cube[step, k, r])
                    tied[k] = False
                    if kinds[k]:
                        at = search(part, low, high, short)
                        out[k] += at - low
                        tied[k] = rest > 0 and at < high and part[at] == short
                        ties |= tied[k]
                    low = high
            if ties:
                # what was cut off decides: the few events of these seconds, from the tiles
                for t in range(np.int64(block_tiles[b]), np.int64(block_tiles[b + 1])):
                    p, high = np.int64(tile_start[t]), np.int64(tile_start[t + 1])
                    p = search(time, p, high, moment - rest)
                    while p < high and time[p] < moment:
                        k = np.int64(kind[p])
                        if kinds[k] and tied[k]:
                            out[k] += 1
                        p += 1


@borrowing
def _below(part: Array, low: int, high: int, value: int) -> tuple[int, int]:
    """Count what is below and what is equal to a value in [low, high); few stand in most."""
    wanted = np.uint16(value)
    n, equal, p = 0, 0, low
    while p < high and p + _TOGETHER <= len(part):
        # always as many, so that the compiler takes all of them at once
        stop = np.uint16(min(high - p, _TOGETHER))
        below, same = np.uint16(0), np.uint16(0)
        for j in range(_TOGETHER):
            there, one = np.uint16(j) < stop, part[np.uint64(p) + np.uint64(j)]
            below = np.uint16(below + np.uint16(there & (one < wanted)))
            same = np.uint16(same + np.uint16(there & (one == wanted)))
        n += np.int64(below)
        equal += np.int64(same)
        p += _TOGETHER
    for q in range(p, high):
        n += part[q] < wanted
        equal += part[q] == wanted
    return n, equal


@numba.njit(cache=True, nogil=True)
def by_step(out: Array, rows: Array, cube: Array, kinds: Array, steps: Array) -> None:
    """Add to `out` (s,) the events of rows of the cube before each of `steps` (s,)."""
    for s in range(len(out)):
        total, step = np.int64(0), steps[s]
        for k in range(len(kinds)):
            if kinds[k]:
                for r in rows:
                    total += cube[step, k, r]
        out[s] += total


@numba.njit(cache=True, nogil=True)
def slices_of(
    tiles: Array,
    tile_start: Array,
    time: Array,
    kind: Array,
    kinds: Array,
    start: int,
    end: int,
    last: int,
    by_kind: Array,
) -> int:
    """Do as `whole`, only by place, time and kind."""
    total = 0
    every = kinds.all()
    slices = np.empty((AHEAD, 4), np.int64)
    for first in range(0, len(tiles), AHEAD):
        slices_in(slices, tiles, first, tile_start, time, start, end, last)
        for i in range(min(AHEAD, len(tiles) - first)):
            low, high = slices[i, 0], slices[i, 1]
            if every and len(by_kind) == 0:
                total += high - low
                continue
            for p in range(low, high):
                k = np.int64(kind[p])
                total += kinds[k]
                if len(by_kind):
                    by_kind[k] += kinds[k]
    return total


@numba.njit(cache=True, nogil=True)
def whole(  # noqa: PLR0912 one loop with its variants
    tiles: Array,
    tile_start: Array,
    time: Array,
    kind: Array,
    code: Array,
    dict_start: Array,
    kinds: Array,
    start: int,
    end: int,
    last: int,
    code_ok: Array,
    hours: Array,
    base: int,
    since: Array,
    offset: Array,
    day_edge: Array,
    by_kind: Array,
    by_day: Array,
    by_hour: Array,
    by_entry: Array,
) -> int:
    """Count the events of tiles.

    Parameters
    ----------
    tiles : int64 (n, 2)
        Tile, block.
    tile_start, time, kind, code, dict_start
        See `geo.cube.build`.
    kinds : bool (K,)
        Kinds that count.
    start, end, last : int
        [start, end) in seconds since `base`; no event is later than `last`.
    code_ok : bool (entries,) or (0,)
        Entries of the blocks' lists that count; empty: all.
    hours : bool (168,) or (0,)
        Hours of the week that count; empty: all.
    base, since, offset, day_edge
        Clock: seconds since 1970 of time 0, changes of the clock, local days.
    by_kind, by_day, by_hour, by_entry : int64
        Counts that are added to; one of length 0 is not wanted.

    """
    total = 0
    clock = len(hours) + len(by_hour) > 0
    whole_time = start <= 0 and end > last
    slices = np.empty((AHEAD, 4), np.int64)
    for i in range(len(tiles)):
        t = tiles[i, 0]
        if whole_time:
            low, high = np.int64(tile_start[t]), np.int64(tile_start[t + 1])
        else:
            if i % AHEAD == 0:
                slices_in(slices, tiles, i, tile_start, time, start, end, last)
            low, high = slices[i % AHEAD, 0], slices[i % AHEAD, 1]
        day, change = 0, 0
        for p in range(low, high):
            if not kinds[kind[p]]:
                continue
            entry = np.int64(dict_start[tiles[i, 1]]) + np.int64(code[p])
            if len(code_ok) and not code_ok[entry]:
                continue
            moment = base + np.int64(time[p])
            if clock:
                # times ascend inside a tile
                while change + 1 < len(since) and since[change + 1] <= moment:
                    change += 1
                hour = ((moment + offset[change]) // 3600 + 72) % 168
                if len(hours) and not hours[hour]:
                    continue
                if len(by_hour):
                    by_hour[hour] += 1
            if len(by_day):
                # days have 24 hours but for a few: nearly right at once
                guess = (moment - day_edge[0]) // 86_400
                day = min(max(guess, 0), len(day_edge) - 2)
                while day_edge[day] > moment:
                    day -= 1
                while day_edge[day + 1] <= moment:
                    day += 1
                by_day[day] += 1
            if len(by_entry):
                by_entry[entry] += 1
            if len(by_kind):
                by_kind[kind[p]] += 1
            total += 1
    return total


@numba.njit(cache=True, nogil=True)
def rim(  # noqa: PLR0912, PLR0915 one loop with its variants
    tiles: Array,
    within: Array,
    edged: Array,
    stretch_at: Array,
    stretch: Array,
    run_from: Array,
    run_edge: Array,
    u: Array,
    v: Array,
    x: Array,
    y: Array,
    block_key: Array,
    side: int,
    tile_id: Array,
    tile_start: Array,
    time: Array,
    kind: Array,
    cell: Array,
    point: Array,
    kinds: Array,
    start: int,
    end: int,
    last: int,
    test: bool,
    keep: bool,
    by_kind: Array,
) -> tuple[int, Array]:
    """Count the events of tiles that an edge touches.

    Parameters
    ----------
    tiles, within, edged, stretch_at, stretch, run_from, run_edge, u, v, x, y
        See `geo.cube.cover.Cover`; tiles is its `rim`.
    block_key, side, tile_id, tile_start, time, kind, cell, point
        See `geo.cube.build`.
    kinds, start, end, last, by_kind
        As in `whole`.
    test : bool
        Test each point of a spot that an edge touches; without, all of them count.
    keep : bool
        Give the positions of the events back.

    Returns
    -------
    total : int
    positions : int64 (total,) or (0,)

    """
    total = 0
    every = kinds.all()
    counted = every and not keep and len(by_kind) == 0
    found = np.empty(1024 if keep else 0, np.int64)
    lines = within.shape[1]  # a row of the cover may be as high as a tile
    slices = np.empty((AHEAD, 4), np.int64)
    spots = np.empty((2, SPOTS), np.uint32)  # of a line: inside; touched by an edge
    # events to be tested, of several tiles together: fetching one does not wait for testing another
    open_at, open_of, open_in = (
        np.empty(512, np.int64),
        np.empty(512, np.int64),
        np.empty(512, np.int64),
    )
    px, py = np.empty(512), np.empty(512)
    # of a cell in columns and rows: its size, and half of it with what rounding may move
    wide, tall = SPOTS / CELLS, lines / CELLS
    half_wide, half_tall = wide / 2 + _ROUNDED, tall / 2 + _ROUNDED * lines / SPOTS
    for first in range(0, len(tiles), AHEAD):
        slices_in(slices, tiles, first, tile_start, time, start, end, last)
        stop = min(first + AHEAD, len(tiles))
        fetch(cell, slices, stop - first)
        n_open = 0
        for i in range(first, stop):
            low, high = slices[i - first, 0], slices[i - first, 1]
            if low == high:
                continue
            for line in range(SPOTS):
                q = line if lines > 1 else 0
                spots[0, line], spots[1, line] = within[i, q], edged[i, q]
            if n_open + high - low >= len(open_at):
                size = 2 * (n_open + high - low)
                open_at, open_of = _more(open_at, size), _more(open_of, size)
                open_in = np.empty(size, np.int64)
                px, py = np.empty(size), np.empty(size)
            if counted:
                sure, n = spots_sure(open_at, n_open, spots, cell, low, high)
                total += sure
                open_of[n_open:n] = i
                n_open = n
                continue
            if keep and total + n_open + high - low > len(found):
                found = _more(found, 2 * (total + n_open + high - low))
            for p in range(low, high):
                line, spot = cell[p] >> _TO_ROW, cell[p] >> _TO_SPOT & (SPOTS - 1)
                touched = np.int64(spots[1, line]) >> spot & 1
                if not (touched or np.int64(spots[0, line]) >> spot & 1) or not kinds[kind[p]]:
                    continue
                if touched and test:
                    open_at[n_open], open_of[n_open] = p, i
                    n_open += 1
                    continue
                if keep:
                    found[total] = p
                if len(by_kind):
                    by_kind[kind[p]] += 1
                total += 1
        # most are decided by their cell; the few that an edge touches by the point
        n_unsure, of = 0, np.int64(-1)
        for o in range(n_open):
            p, i = open_at[o], open_of[o]
            if i != of:
                of, t = i, tiles[i, 0]
                key, one = np.int64(block_key[tiles[i, 1]]), np.int64(tile_id[t])
                west = (key % BLOCK_COLUMNS * side + one % side) * SPOTS
                south = (key // BLOCK_COLUMNS * side + one // side) * lines
            place = np.int64(cell[p])
            column = west + (place >> _TO_SPOT & (SPOTS - 1))
            s = np.int64(stretch_at[i, place >> _TO_ROW if lines > 1 else 0])
            while stretch[s, 3] < column:
                s += 1
            sure = about(
                west + ((place & (CELLS - 1)) + 0.5) * wide, south + ((place >> 8) + 0.5) * tall,
                half_wide, half_tall, column, stretch[s, 0], stretch[s, 1], stretch[s, 2],
                run_from, run_edge, u, v,
            )  # fmt: skip
            # no branches, as above: on which side a point lies cannot be foreseen
            open_at[n_unsure], open_of[n_unsure], open_in[n_unsure] = p, column, s
            n_unsure += sure == UNSURE
            if counted:
                total += sure & 1
            elif sure == 1:
                if keep:
                    found[total] = p
                if len(by_kind):
                    by_kind[kind[p]] += 1
                total += 1
        for o in range(n_unsure):
            px[o], py[o] = point[open_at[o], 0], point[open_at[o], 1]
        for o in range(n_unsure):
            p, s = open_at[o], open_in[o]
            column, low, high, odd = open_of[o], stretch[s, 0], stretch[s, 1], stretch[s, 2]
            sure = inside(px[o], py[o], column, low, high, odd, run_from, run_edge, x, y)
            if sure == UNSURE:
                sure = exactly(px[o], py[o], column, low, high, odd, run_from, run_edge, x, y)
            if sure:
                if keep:
                    found[total] = p
                if len(by_kind):
                    by_kind[kind[p]] += 1
                total += 1
    return total, found[: total if keep else 0]


@numba.njit(cache=True, nogil=True)
def _more(array: Array, size: int) -> Array:
    wider = np.empty(size, array.dtype)
    wider[: len(array)] = array
    return wider


@borrowing
def spots_sure(
    open_at: Array, n_open: int, spots: Array, cell: Array, low: int, high: int
) -> tuple[int, int]:
    """Count events in spots inside; append those where an edge runs to `open_at`.

    Parameters
    ----------
    open_at : int64 (m,)
        From `n_open` on there is room for high - low.
    spots : uint32 (2, SPOTS)
        Of a tile's rows the bits of the spots inside, and of those that an edge touches.
    cell : uint16 (n,)
        See `geo.cube.build`; of [low, high).

    Returns
    -------
    sure, n_open : int

    """
    # unsigned, so that no index is taken for one from the end
    p, stop = np.uint64(low), np.uint64(high)
    total, n, one = np.uint64(0), np.uint64(n_open), np.uint64(1)
    if AT_ONCE and high >= TOGETHER:
        while p < stop:
            # the last look sees some of the events before again: their bits are taken away
            at = min(p, stop - np.uint64(TOGETHER))
            fresh = ~np.uint64(0) << (p - at)
            within, touched = look(cell, np.int64(at), spots)
            total += ones(within & fresh)
            touched &= fresh
            while touched:
                open_at[n] = at + lowest(touched)
                touched &= touched - one
                n += one
            p += np.uint64(TOGETHER)
        return np.int64(total), np.int64(n)
    # no branches: each position is written, and stays when an edge touches its spot
    while p < stop:
        place = np.uint64(cell[p])
        row = place >> np.uint64(_TO_ROW)
        column = place >> np.uint64(_TO_SPOT) & np.uint64(SPOTS - 1)
        open_at[n] = p
        total += np.uint64(spots[0, row]) >> column & one
        n += np.uint64(spots[1, row]) >> column & one
        p += one
    return np.int64(total), np.int64(n)


@numba.njit(cache=True, nogil=True)
def dated(
    at: Array, time: Array, kind: Array, base: int, day_edge: Array, by_day: Array, by_kind: Array
) -> None:
    """Add events to counts by day and by kind.

    Parameters
    ----------
    at : int64 (n,)
        Positions of the events.
    time, kind, base, day_edge, by_day, by_kind
        As in `whole`.

    """
    for p in at:
        if len(by_kind):
            by_kind[kind[p]] += 1
        if len(by_day) == 0:
            continue
        moment = base + np.int64(time[p])
        # days have 24 hours but for a few: nearly right at once
        day = min(max((moment - day_edge[0]) // 86_400, 0), len(day_edge) - 2)
        while day_edge[day] > moment:
            day -= 1
        while day_edge[day + 1] <= moment:
            day += 1
        by_day[day] += 1
