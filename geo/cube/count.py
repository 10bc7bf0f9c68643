"""Compiled counting over the arrays of a snapshot. May import numpy, numba.

Promises: whole blocks are read from the cube, with a binary search for part days; whole tiles by
their runs; tiles of the rim event by event with the exact test. Nothing is rounded.
"""

# ruff: noqa: PLR0917 compiled code takes plain arrays
# Python and numpy integers are one to the compiler:
# mypy: disable-error-code="assignment, arg-type"

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from geo.cube.cover import inside

Array = npt.NDArray[Any]

_FEW = 24  # a run this short is looked through instead of searched


@numba.njit(cache=True, nogil=True)
def before(
    out: Array,
    rows: Array,
    cube: Array,
    part_start: Array,
    part_low: Array,
    part_high: Array,
    kinds: Array,
    step: int,
    second: int,
) -> None:
    """Add to `out` (K,) the events of blocks of the cube before a moment.

    Parameters
    ----------
    out : int64 (K,)
        Counts by kind, added to.
    rows : int32 (w,)
        Positions in the cube.
    cube, part_start, part_low, part_high
        See `geo.cube.build`.
    kinds : bool (K,)
        Kinds that count.
    step, second : int
        The moment: a step and the seconds since its start.

    """
    n_kinds = len(kinds)
    for r in rows:
        for k in range(n_kinds):
            if not kinds[k]:
                continue
            n = cube[step, r, k]
            out[k] += n
            if second == 0:
                continue
            start = np.int64(part_start[r * n_kinds + k])
            low, high = start + n, start + cube[step + 1, r, k]
            begin = low
            while low < high:
                middle = (low + high) // 2
                if np.int64(part_low[middle]) + (np.int64(part_high[middle]) << 16) < second:
                    low = middle + 1
                else:
                    high = middle
            out[k] += low - begin


@numba.njit(cache=True, nogil=True)
def by_step(out: Array, rows: Array, cube: Array, kinds: Array, first: int) -> None:
    """Add to `out` (s,) the events of blocks and kinds before step `first`, `first` + 1, ..."""
    every = kinds.all()
    n_kinds = len(kinds)
    for s in range(len(out)):
        total = np.int64(0)
        for r in rows:
            if every:
                for k in range(n_kinds):
                    total += cube[first + s, r, k]
            else:
                for k in range(n_kinds):
                    if kinds[k]:
                        total += cube[first + s, r, k]
        out[s] += total


@numba.njit(cache=True, nogil=True)
def _first_at(time: Array, low: int, high: int, value: int) -> int:
    """First position in [low, high) whose time is not before `value`."""
    if high - low <= _FEW:
        while low < high and time[low] < value:
            low += 1
        return low
    while low < high:
        middle = (low + high) // 2
        if time[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True, nogil=True)
def spans(  # noqa: PLR0912, PLR0915 one loop with its variants
    n: int,
    span: Array,
    tile_start: Array,
    tile_runs: Array,
    run_start: Array,
    run_kind: Array,
    time: Array,
    code: Array,
    dict_start: Array,
    kinds: Array,
    start: int,
    end: int,
    whole_time: bool,
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
    """Count the events of spans of tiles.

    Parameters
    ----------
    n, span : int, int64 (>= n, 4)
        First tile, stop, block.
    tile_start, tile_runs, run_start, run_kind, time, code, dict_start
        See `geo.cube.build`.
    kinds : bool (K,)
        Kinds that count.
    start, end : int
        [start, end) in seconds since `base`; `whole_time`: that is everything there is.
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
    each = len(code_ok) + len(hours) + len(by_day) + len(by_hour) + len(by_entry) > 0
    clock = len(hours) + len(by_hour) > 0
    every = kinds.all() and not each and len(by_kind) == 0
    for s in range(n):
        p0, p1 = np.int64(tile_start[span[s, 0]]), np.int64(tile_start[span[s, 1]])
        if every and whole_time:
            total += p1 - p0
            continue
        if every and p1 - p0 < _FEW * len(kinds) * (span[s, 1] - span[s, 0]):
            # many short runs: looking at every time is quicker than finding the ends
            low, high = np.uint32(min(start, 0xFFFFFFFF)), np.uint32(min(end - 1, 0xFFFFFFFF))
            found = 0
            for p in range(p0, p1):
                found += (time[p] >= low) & (time[p] <= high)
            total += found
            continue
        first = np.int64(dict_start[span[s, 2]])
        for r in range(np.int64(tile_runs[span[s, 0]]), np.int64(tile_runs[span[s, 1]])):
            kind = run_kind[r]
            if not kinds[kind]:
                continue
            low, high = np.int64(run_start[r]), np.int64(run_start[r + 1])
            if not whole_time:
                low = _first_at(time, low, high, start)
                high = _first_at(time, low, high, end)
            if not each:
                total += high - low
                if len(by_kind):
                    by_kind[kind] += high - low
                continue
            day, change = 0, 0
            for p in range(low, high):
                entry = first + np.int64(code[p])
                if len(code_ok) and not code_ok[entry]:
                    continue
                moment = base + np.int64(time[p])
                if clock:
                    # times ascend inside a run
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
                    by_kind[kind] += 1
                total += 1
    return total


@numba.njit(cache=True, nogil=True)
def rim(
    span: Array,
    tile_start: Array,
    tile_runs: Array,
    tile_id: Array,
    block_key: Array,
    run_start: Array,
    run_kind: Array,
    time: Array,
    lon: Array,
    lat: Array,
    kinds: Array,
    start: int,
    end: int,
    test: bool,
    keep: bool,
    stretch: Array,
    piece_from: Array,
    piece_edge: Array,
    x: Array,
    y: Array,
    by_kind: Array,
) -> tuple[int, Array, Array]:
    """Count the events of tiles that an edge touches.

    Parameters
    ----------
    span : int64 (r, 4)
        `Cover.rim`; `stretch`, `piece_from`, `piece_edge`, `x`, `y` as there.
    test : bool
        Test each point; without, every event in time counts.
    keep : bool
        Give the positions and kinds of the events back.

    Returns
    -------
    total : int
    positions : int64 (total,) or (0,)
    kinds : uint8 (total,) or (0,)

    """
    total = 0
    plain = kinds.all() and test and not keep and len(by_kind) == 0
    found, found_kind = (
        np.empty(1024 if keep else 0, np.int64),
        np.empty(1024 if keep else 0, np.uint8),
    )
    for s in range(len(span)):
        which = span[s, 3]
        low_piece, high_piece, odd = stretch[which, 0], stretch[which, 1], stretch[which, 2]
        left = np.int64(block_key[span[s, 2]]) % 11_264 * 16
        for t in range(span[s, 0], span[s, 1]):
            column = left + np.int64(tile_id[t]) % 16
            if plain and tile_start[t + 1] - tile_start[t] < _FEW * len(kinds):
                # kinds do not matter: the events of the tile in one go
                for p in range(np.int64(tile_start[t]), np.int64(tile_start[t + 1])):
                    if start <= time[p] < end and inside(
                        lon[p],
                        lat[p],
                        column,
                        low_piece,
                        high_piece,
                        odd,
                        piece_from,
                        piece_edge,
                        x,
                        y,
                    ):
                        total += 1
                continue
            for r in range(np.int64(tile_runs[t]), np.int64(tile_runs[t + 1])):
                kind = run_kind[r]
                if not kinds[kind]:
                    continue
                high = np.int64(run_start[r + 1])
                p = _first_at(time, np.int64(run_start[r]), high, start)
                while p < high and time[p] < end:
                    if not test or inside(
                        lon[p],
                        lat[p],
                        column,
                        low_piece,
                        high_piece,
                        odd,
                        piece_from,
                        piece_edge,
                        x,
                        y,
                    ):
                        if keep:
                            if total == len(found):
                                wider = np.empty(2 * total, np.int64)
                                wider[:total] = found
                                found = wider
                                wider_kind = np.empty(2 * total, np.uint8)
                                wider_kind[:total] = found_kind
                                found_kind = wider_kind
                            found[total], found_kind[total] = p, kind
                        if len(by_kind):
                            by_kind[kind] += 1
                        total += 1
                    p += 1
    return total, found[: total if keep else 0], found_kind[: total if keep else 0]
