"""Where the edges of an area run, row by row. May import numpy, numba.

Promises: every edge, widened by a margin, lies in the columns of its runs in every row that it
touches; between the stretches of a row nothing changes from inside to outside.
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
from geo.cube.edges import LONGEST

Array = npt.NDArray[Any]

_FEW = 24  # runs of a row that are put in order one by one


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
    four = np.empty((4, n), np.int32)  # one array: making one takes as long as ten edges
    low, high, left, right = four[0], four[1], four[2], four[3]
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


@borrowing
def _pieces(
    u: Array,
    v: Array,
    margin: float,
    above: float,
    row0: int,
    west: int,
    east: int,
    low: Array,
    high: Array,
    left: Array,
    right: Array,
    start: Array,
    latest: Array,
    run_row: Array,
    run_c0: Array,
    run_c1: Array,
    run_0: Array,
    run_1: Array,
) -> int:
    """Join pieces of edges to runs, in the order of the edges; give back how many."""
    n = len(u) - 1
    m, i = 0, 0
    while i < n:
        stop = i + 1
        if low[i] == high[i]:
            # edges that stay in one row
            longest = min(i + LONGEST, n)
            while stop < longest and low[stop] == low[i] and high[stop] == low[i]:
                stop += 1
            c0, c1 = left[i], right[i]
            for k in range(i + 1, stop):
                c0, c1 = min(c0, left[k]), max(c1, right[k])
            r = np.int64(low[i]) - row0
            k = latest[r]
            if k >= 0 and run_1[k] == i and stop - run_0[k] <= LONGEST:
                run_1[k] = stop
                run_c0[k], run_c1[k] = min(run_c0[k], c0), max(run_c1[k], c1)
            else:
                run_row[m], run_0[m], run_1[m], run_c0[m], run_c1[m] = r, i, stop, c0, c1
                latest[r] = m
                start[r + 1] += 1
                m += 1
            i = stop
            continue
        slope = 0.0
        # of an edge inside one column nothing can be cut off
        if left[i] < right[i] and low[i] < high[i] and v[i] != v[i + 1]:
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
            k = latest[r - row0]
            if k >= 0 and run_1[k] == i and stop - run_0[k] <= LONGEST:
                run_1[k] = stop
                run_c0[k], run_c1[k] = min(run_c0[k], c0), max(run_c1[k], c1)
                continue
            run_row[m], run_0[m], run_1[m] = r - row0, i, stop
            run_c0[m], run_c1[m] = c0, c1
            latest[r - row0] = m
            start[r - row0 + 1] += 1
            m += 1
        i = stop
    return m


@numba.njit(cache=True, nogil=True)
def runs(
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
    west, east = column0 - 1, column1 + 1
    pieces, low, high, left, right = _extents(u, v, last, margin, above, row0, row1, west, east)
    if pieces > most:
        start[-1] = pieces
        none = np.empty(0, np.int32)
        return start, none, none, np.empty((0, 2), np.int32)
    five = np.empty((5, pieces), np.int32)
    run_row, run_c0, run_c1, run_0, run_1 = five[0], five[1], five[2], five[3], five[4]
    latest = np.full(row1 - row0 + 1, -1, np.int32)  # run of each row
    m = _pieces(
        u, v, margin, above, row0, west, east, low, high, left, right, start, latest, run_row, run_c0,
        run_c1, run_0, run_1,
    )  # fmt: skip
    for r in range(len(start) - 1):
        start[r + 1] += start[r]
    order = _in_order(start, run_row[:m], run_c0)
    two = np.empty((2, m), np.int32)
    first, final = two[0], two[1]
    edge = np.empty((m, 2), np.int32)
    for p in range(m):
        k = order[p]
        first[p], final[p] = run_c0[k], run_c1[k]
        edge[p, 0], edge[p, 1] = run_0[k], run_1[k]
    return start, first, final, edge


@numba.njit(cache=True, nogil=True)
def stretches(
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
