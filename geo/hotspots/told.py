"""What may be told of counts per cell, and what follows from what was told. May import numpy, `geo.cells`.

Pure and deterministic. The rule, with least count m: a cell with 0 or at least m events is told as it
is. Cells with 1 to m − 1 are not: their events are told as one sum under the finest H3 ancestor below
which such cells add up to m or more, at most `UP` resolutions up, then as one sum of the whole side
(`WHOLE`). A sum still under m is not told at all. So every number told is 0 or at least m.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo import cells as h3

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

UP = 3
"""Resolutions a sum goes up before it is one of the whole side."""

WHOLE = 0
"""Name of the sum of what is left of the whole side."""


@dataclass(frozen=True)
class Told:
    """Counts as they are told.

    Attributes
    ----------
    name : (k,) uint64
        Cells, coarser ancestors of cells not told by themselves, or `WHOLE`; ascending, each once.
    events : (k,) int64
        At least the least count.
    withheld : int
        Events told nowhere, fewer than the least count.
    """

    name: h3.Cells
    events: Ints
    withheld: int


def tell(cells: h3.Cells, counts: npt.ArrayLike, res: int, least: int) -> Told:
    """Merge counts until none is small.

    Parameters
    ----------
    cells : uint64 (n,)
        Of resolution `res`, each once.
    counts : (n,) int
        Not negative.
    least : int
        At least 1.
    """
    events = np.asarray(counts, dtype=np.int64)
    if events.shape != cells.shape or (len(events) and events.min() < 0) or least < 1:
        raise ValueError(f"{events.shape} counts, none negative, for {cells.shape} cells")
    large = events >= least
    names, sums = [cells[large]], [events[large]]
    small = (events > 0) & ~large
    pool, rest = cells[small], events[small]
    for level in range(res - 1, max(-1, res - 1 - UP), -1):
        if not len(pool):
            break
        above, at = np.unique(h3.ancestors(pool, level), return_inverse=True)
        total = np.bincount(at, weights=rest, minlength=len(above)).astype(np.int64)
        enough = total >= least
        names.append(above[enough])
        sums.append(total[enough])
        pool, rest = pool[~enough[at]], rest[~enough[at]]
    left = int(rest.sum())
    if left >= least:
        names.append(np.array([WHOLE], np.uint64))
        sums.append(np.array([left]))
        left = 0
    name, number = np.concatenate(names), np.concatenate(sums).astype(np.int64)
    order = np.argsort(name)
    return Told(name[order], number[order], left)


def place(told: Told, cells: h3.Cells, expected: npt.ArrayLike, res: int, least: int) -> Ints:
    """Find counts per cell that fit what was told.

    A cell told by itself has its count. A sum is shared out over the cells it may stand for (those
    not told by themselves, below its ancestor and below no finer one that is told), in proportion to
    what is expected there, in whole events, at most `least - 1` each: within a sum nothing clusters
    more than expected, so that merging can hide a cluster but never make one.

    Parameters
    ----------
    cells : uint64 (n,)
        Ascending, of resolution `res`: all of the side.
    expected : (n,) float64
        In any scale; nan or 0 = no data: gets events of a sum only when all its cells have none.

    Returns
    -------
    int64 (n,)

    Raises
    ------
    ValueError
        Something told is no cell of the side and no ancestor of one.
    """
    weight = np.nan_to_num(np.asarray(expected, dtype=np.float64))
    counts = np.zeros(len(cells), np.int64)
    sums = {int(name): int(n) for name, n in zip(told.name, told.events, strict=True)}
    level = {name: (name >> 52) & 15 for name in sums if name != WHOLE}
    single = np.array([name for name, at in level.items() if at == res], np.uint64)
    where = np.searchsorted(cells, single)
    if len(single) and (
        where.max(initial=0) >= len(cells) or not np.array_equal(cells[where], single)
    ):
        raise ValueError("a cell was told that the side does not have")
    counts[where] = [sums[int(one)] for one in single]
    open_ = np.ones(len(cells), np.bool_)
    open_[where] = False
    for step in range(res - 1, max(-1, res - 1 - UP), -1):
        mine = np.array(sorted(name for name, at in level.items() if at == step), np.uint64)
        if not len(mine):
            continue
        above = h3.ancestors(cells, step)
        at = np.minimum(np.searchsorted(mine, above), len(mine) - 1)
        member = open_ & (mine[at] == above)
        if len(np.unique(at[member])) != len(mine):
            raise ValueError("a sum was told of cells the side does not have")
        for one in range(len(mine)):
            inside = np.flatnonzero(member & (at == one))
            counts[inside] = _shared(sums[int(mine[one])], weight[inside], least - 1)
        open_ &= ~member
    known = {name for name, at in level.items() if res - UP <= at <= res} | {WHOLE}
    if not set(sums) <= known:
        raise ValueError(f"a sum was told that is no cell of resolutions {res - UP} to {res}")
    if WHOLE in sums:
        inside = np.flatnonzero(open_)
        if not len(inside):
            raise ValueError("a rest was told where every cell was told")
        counts[inside] = _shared(sums[WHOLE], weight[inside], least - 1)
    return counts


def _shared(total: int, weight: Floats, most: int) -> Ints:
    """Whole parts of a total by weight, at most `most` each where that is enough; (k,).

    Largest remainders first, of equal ones the first cell.
    """
    if not weight.sum() > 0:
        weight = np.ones(len(weight))
    usable = weight > 0
    if most * int(usable.sum()) < total:
        most = total  # it cannot be kept: more than one sum was told of the same cells
    parts = np.zeros(len(weight), np.int64)
    while (left := total - int(parts.sum())) > 0:
        free = usable & (parts < most)
        exact = np.where(free, left * weight / weight[free].sum(), 0.0)
        whole = np.minimum(np.floor(exact).astype(np.int64), most - parts)
        if whole.any():
            parts += whole
            continue
        order = np.argsort(-exact, kind="stable")[:left]
        parts[order[free[order]]] += 1
    return parts
