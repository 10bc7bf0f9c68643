"""Where a span of time begins and ends among the events of tiles. May import numpy, numba.

Promises: what a binary search of each tile would find. A tile's times are somewhere else in memory than
another's: what will be read is asked for ahead, of many tiles together.
"""

# ruff: noqa: PLR0917 compiled code takes plain arrays
# Python and numpy integers are one to the compiler:
# mypy: disable-error-code="assignment, arg-type, return-value, operator"

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from geo.compiled import borrowing
from geo.cube.edges import search
from geo.cube.look import ahead

Array = npt.NDArray[Any]

AHEAD = 32  # tiles or blocks whose events are fetched from memory together
_LINE = 64  # bytes that come together
_AROUND = 12  # so far on either side of where a time probably is
_LATEST = (1 << 32) - 1  # no event is so late


@borrowing
def _near(ascending: Array, low: int, high: int, value: int, left: int) -> int:
    """Do as `search`; looks first from `left` on, which is in [low, high)."""
    right = min(left + 2 * _AROUND, high)
    # no branches: where it stands cannot be foreseen
    short = np.uint32(min(max(value, 0), _LATEST))
    found = 0
    if right - left == 2 * _AROUND:
        for p in range(2 * _AROUND):
            found += ascending[left + p] < short
    else:
        for p in range(left, right):
            found += ascending[p] < short
    if found == 0 and left > low:
        step = _AROUND
        high = left
        while high - step > low and ascending[high - step] >= value:
            high, step = high - step, 2 * step
        return search(ascending, max(low, high - step), high, value)
    if found == right - left and right < high:
        step = _AROUND
        low = right
        while low + step < high and ascending[low + step] < value:
            low, step = low + step + 1, 2 * step
        return search(ascending, low, min(high, low + step), value)
    return left + found


@borrowing
def slices_in(
    slices: Array,
    tiles: Array,
    first: int,
    tile_start: Array,
    time: Array,
    start: int,
    end: int,
    last: int,
) -> None:
    """Write where [start, end) begins and ends in the times of tiles from `first` on.

    Where they would be if times were spread evenly, one time is read; how far off that is tells where
    to look. Each tile's times are somewhere else in memory: one is read of all tiles before any is
    searched, so that one does not wait for the other.

    Parameters
    ----------
    slices : int64 (m, 4)
        Row i, for tile `first` + i: begin and end are written to columns 0 and 1.

    """
    n = min(len(slices), len(tiles) - first)
    rate = 1.0 / (last + 1.0)
    from_share = min(max(start * rate, 0.0), 1.0)
    to_share = min(max(end * rate, 0.0), 1.0)
    for i in range(n):
        t = tiles[first + i, 0]
        low, high = np.int64(tile_start[t]), np.int64(tile_start[t + 1])
        slices[i, 0] = min(low + np.int64(from_share * (high - low)), high - 1)
        slices[i, 1] = min(low + np.int64(to_share * (high - low)), high - 1)
        slices[i, 2], slices[i, 3] = low, high
        for end_of in range(2):
            ahead(time, slices[i, end_of])
    for i in range(n):
        a, b, low, high = slices[i, 0], slices[i, 1], slices[i, 2], slices[i, 3]
        latest, each = max(high - 2 * _AROUND, low), (high - low) * rate
        a += np.int64((start - np.int64(time[a])) * each) - _AROUND
        b += np.int64((end - np.int64(time[b])) * each) - _AROUND
        slices[i, 0], slices[i, 1] = min(max(a, low), latest), min(max(b, low), latest)
        for end_of in range(2):
            ahead(time, slices[i, end_of])
            ahead(time, slices[i, end_of] + _LINE // 4)
    for i in range(n):
        a, b, low, high = slices[i, 0], slices[i, 1], slices[i, 2], slices[i, 3]
        slices[i, 0] = low
        if start > 0:
            slices[i, 0] = _near(time, low, high, start, a)
        slices[i, 1] = high
        if end <= last:
            slices[i, 1] = _near(time, low, high, end, b)


@borrowing
def fetch(narrow: Array, spans: Array, n: int) -> None:
    """Have what [begin, end) of the first n rows of `spans` holds of a uint16 array fetched."""
    for i in range(n):
        for p in range(spans[i, 0], spans[i, 1] + _LINE // 2 - 1, _LINE // 2):
            ahead(narrow, p)
