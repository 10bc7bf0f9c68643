"""Which side of an edge a point lies on, exactly. May import numpy, numba.

Promises: coordinates are taken as they are; the answer is that of GEOS for "the area covers the
point", on edges and corners too.
"""

# ruff: noqa: PLR0917 compiled code takes plain arrays
# Python and numpy integers are one to the compiler:
# mypy: disable-error-code="assignment, arg-type, return-value"

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from geo.compiled import borrowing

Array = npt.NDArray[Any]

UNSURE = 2
LONGEST = 8  # edges of a run: a point is tested against whole runs
_SHORT = 4  # runs of a stretch that are all looked at


@borrowing
def search(ascending: Array, low: int, high: int, value: int) -> int:
    """First position in [low, high) that is not below `value`."""
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True, nogil=True)
def exactly(
    px: float,
    py: float,
    column: int,
    low: int,
    high: int,
    odd: int,
    run_from: Array,
    run_edge: Array,
    x: Array,
    y: Array,
) -> bool:
    """Do as `inside`, on an edge and on a corner too.

    Crossings of the line from the point to the left are counted up to the spot before the stretch
    (`odd`: that one lies inside); a crossing counts when the edge has one end above the line and
    one not, the rule of GEOS' ray crossing counter.
    """
    for k in range(low, high):
        if run_from[k] > column:
            break  # begins to the right of the spot
        for i in range(run_edge[k, 0], run_edge[k, 1]):
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


@borrowing
def inside(
    px: float,
    py: float,
    column: int,
    low: int,
    high: int,
    odd: int,
    run_from: Array,
    run_edge: Array,
    x: Array,
    y: Array,
) -> int:
    """Whether the area covers a point of a spot in a stretch, 1 or 0; see `geo.cube.cover.Cover`.

    What rounding leaves in doubt is `UNSURE`, for `exactly` to decide. No branches between the edges of a
    short stretch: on which side a point lies cannot be foreseen.
    """
    stop = high
    if high - low > _SHORT:
        first = low
        while first < stop:
            middle = (first + stop) // 2
            if run_from[middle] <= column:
                first = middle + 1
            else:
                stop = middle
    found, doubt = odd, 0
    for k in range(low, stop):
        first, end = np.uint32(run_edge[k, 0]), np.uint32(run_edge[k, 1])
        ax, ay = x[first] - px, y[first] - py
        for i in range(first, end):
            bx, by = x[i + np.uint32(1)] - px, y[i + np.uint32(1)] - py
            left, right = ax * by, ay * bx
            det = left - right
            # of a point to the right of an upward edge the edge is to the left
            found ^= ((ay > 0.0) != (by > 0.0)) & ((det < 0.0) == (by > ay))
            doubt |= not abs(det) > 3.3306690738754716e-16 * (abs(left) + abs(right))
            ax, ay = bx, by
    return UNSURE if doubt else found


@borrowing
def about(
    cu: float,
    cv: float,
    hu: float,
    hv: float,
    column: int,
    low: int,
    high: int,
    odd: int,
    run_from: Array,
    run_edge: Array,
    u: Array,
    v: Array,
) -> int:
    """Whether the area covers a whole small box in a spot: 1, 0, or `UNSURE` where an edge touches it.

    Parameters
    ----------
    cu, cv, hu, hv : float
        Middle and half the sides, in columns and rows, a little wider than what it stands for.
    column, low, high, odd, run_from, run_edge, u, v
        See `geo.cube.cover.Cover`.

    """
    # not numbers: of all edges at once the compiler then keeps a bit each
    found, touch = odd != 0, False
    for k in range(low, high):
        if run_from[k] > column:
            break  # begins to the right of the spot
        first = np.uint64(run_edge[k, 0])
        edges = np.int64(run_edge[k, 1]) - np.int64(run_edge[k, 0])
        # always as many, so that the compiler takes all of them at once
        for j in range(LONGEST):
            i = first + np.uint64(j)
            ax, ay = u[i] - cu, v[i] - cv
            bx, by = u[i + np.uint64(1)] - cu, v[i + np.uint64(1)] - cv
            det = ax * by - ay * bx
            there = j < edges
            found = found ^ (there & ((ay > 0.0) != (by > 0.0)) & ((det < 0.0) == (by > ay)))
            touch = touch | (
                there & (abs(det) <= hv * abs(bx - ax) + hu * abs(by - ay))
                & (min(ax, bx) <= hu) & (max(ax, bx) >= -hu)
                & (min(ay, by) <= hv) & (max(ay, by) >= -hv)
            )  # fmt: skip
    return UNSURE if touch else np.int64(found)


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
