"""Small numbers: "<5", what else must be hidden for it, and questions that differ by a few (METHODS 11).

May import numpy. Pure. A count of 1 to 4 is *small*. Zero is not: it tells of nobody.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
States = npt.NDArray[np.uint8]

THRESHOLD = 5
SHOWN, SMALL, WITHHELD = 0, 1, 2
"""State of a number: as it is; 1 to 4, shown as "<5"; hidden so that a small one cannot be worked out."""

#: withholding a total costs more than withholding any cell
_TOTAL = 1e12
#: a list longer than this is told by its small values and one more
_LONG = 60


def mask(counts: npt.ArrayLike, threshold: int = THRESHOLD) -> Bools:
    """Mark where a count is small: 1 to threshold − 1."""
    c = _counts(counts)
    return np.asarray((c > 0) & (c < threshold), dtype=np.bool_)


def shown(count: int, state: int = SHOWN, threshold: int = THRESHOLD) -> str:
    """Text of a count: the number, "<5" or "…" (withheld)."""
    if state == WITHHELD:
        return "…"
    return f"<{threshold}" if state == SMALL or 0 < count < threshold else str(count)


@dataclass(frozen=True)
class Table:
    """States of a table and its totals, `SHOWN`, `SMALL` or `WITHHELD`.

    Attributes
    ----------
    cells : (R, K) uint8, or (n,) of a list
    rows : (R,) uint8
        Of the row totals; empty for a list.
    columns : (K,) uint8
        Of the column totals; empty for a list.
    total : int
    """

    cells: States
    rows: States
    columns: States
    total: int


def _counts(counts: npt.ArrayLike) -> Ints:
    given = np.asarray(counts)
    c = given.astype(np.int64)
    if np.any(c != given) or np.any(c < 0):
        raise ValueError("counts are whole numbers, not negative")
    return c


class _Sums:
    """Numbers and the sums they are in, as a network.

    Every number stands in two sums, with the same sign in both once the sums of the totals are turned
    round; so a change of a number by 1 is a unit of flow between two nodes, and the tables that fit
    all that is shown differ by cycles. A hidden number can be another than it is exactly where a
    cycle runs through it (Gusfield 1988).
    """

    def __init__(self, tail: Ints, head: Ints, value: Ints, total: Bools, threshold: int) -> None:
        self.tail, self.head, self.value = tail.tolist(), head.tolist(), value.tolist()
        self.cost = (1.0 + value + np.where(total, _TOTAL, 0.0)).tolist()
        self.top = threshold - 1
        self.small = mask(value, threshold)
        self.state: list[int] = np.where(self.small, SMALL, SHOWN).tolist()
        self.at: list[list[int]] = [[] for _ in range(int(max(tail.max(), head.max())) + 1)]
        for edge, ends in enumerate(zip(self.tail, self.head, strict=True)):
            for node in ends:
                self.at[node].append(edge)

    def _price(self, edge: int, up: bool) -> float:
        """Tell what it costs to let a number be one more or less than it is; inf: it cannot be."""
        value = self.value[edge]
        if self.state[edge] == SMALL and (value < self.top if up else value > 1):
            return 0.0
        if not up and value == 0:
            return math.inf
        return 0.0 if self.state[edge] == WITHHELD else self.cost[edge]

    def _way(self, edge: int, up: bool) -> tuple[float, list[int]]:
        """Cheapest cycle through a number that goes up or down: its price, what has to be withheld.

        There is always one: a number and its totals can all be one more, or one less.
        """
        start, goal = self.tail[edge], self.head[edge]
        if up:
            start, goal = goal, start
        price = self._price(edge, up)
        best = {start: 0.0}
        back: dict[int, tuple[int, int, float]] = {}
        queue = [(0.0, start)]
        while (first := heapq.heappop(queue))[1] != goal:
            far, node = first
            if far > best[node]:
                continue
            for other in self.at[node]:
                if other == edge:
                    continue
                forward = self.tail[other] == node
                step = self._price(other, forward)
                to = self.head[other] if forward else self.tail[other]
                if far + step < best.get(to, math.inf):
                    best[to] = far + step
                    back[to] = (node, other, step)
                    heapq.heappush(queue, (far + step, to))
        hide = [edge] if price else []
        node = goal
        while node != start:
            node, other, step = back[node]
            if step:
                hide.append(other)
        return price + best[goal], hide

    def protect(self) -> None:
        """Withhold more numbers until every small one could be another one.

        What is protected stays so: withholding only widens what is possible.
        """
        for edge in np.flatnonzero(self.small).tolist():
            _, hide = min(self._way(edge, True), self._way(edge, False))
            for other in hide:
                self.state[other] = WITHHELD


def suppress(counts: npt.ArrayLike, threshold: int = THRESHOLD) -> Table:
    """Hide small numbers of a list or table with totals, and what would give them away.

    All totals are taken as published with it. After it no small number can be worked out exactly by
    adding and subtracting what is shown, even knowing that "<5" means 1 to 4.

    Parameters
    ----------
    counts : (n,) or (R, K) ints
        A list with its total, or a table with row totals, column totals and the total.
    threshold : int
        Small is below it.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        On counts that are negative or not whole.
    """
    c = _counts(counts)
    if c.ndim not in (1, 2):
        raise ValueError(f"counts must have shape (n,) or (R, K), got {c.shape}")
    if not c.size:
        nothing = np.zeros(0, np.uint8)
        return Table(np.zeros(c.shape, np.uint8), nothing, nothing, SHOWN)
    if c.ndim == 1:
        n = len(c)
        value = np.append(c, c.sum())
        # one sum: cells flow into it from outside, the total out of it
        tail, head = np.append(np.zeros(n, np.int64), 1), np.append(np.ones(n, np.int64), 0)
        sums = _Sums(tail, head, value, np.arange(n + 1) == n, threshold)
        sums.protect()
        state = np.array(sums.state, dtype=np.uint8)
        nothing = np.zeros(0, np.uint8)
        return Table(state[:n], nothing, nothing, int(state[n]))
    rows, columns = c.shape
    full = np.zeros((rows + 1, columns + 1), np.int64)
    full[:-1, :-1] = c
    full[-1, :-1], full[:-1, -1], full[-1, -1] = c.sum(axis=0), c.sum(axis=1), c.sum()
    row, column = np.indices(full.shape)
    row_total, column_total = column == columns, row == rows
    # a total of one direction stands in its sums with the other sign: its flow runs backwards
    turned = (row_total ^ column_total).ravel()
    row_node, column_node = row.ravel(), column.ravel() + rows + 1
    sums = _Sums(
        np.where(turned, column_node, row_node),
        np.where(turned, row_node, column_node),
        full.ravel(),
        (row_total | column_total).ravel(),
        threshold,
    )
    sums.protect()
    found = np.array(sums.state, dtype=np.uint8).reshape(full.shape)
    return Table(found[:-1, :-1], found[:-1, -1], found[-1, :-1], int(found[-1, -1]))


def listed(counts: npt.ArrayLike, threshold: int = THRESHOLD) -> list[int]:
    """Tell what is hidden of a list whose total is shown, if that is not small itself.

    As `suppress`, but of a long list the small values and one more decide, so that it takes no time.

    Returns
    -------
    list of `SHOWN`, `SMALL`, `WITHHELD`; one longer than the list: the last is the total's
    """
    values = _counts(counts)
    if len(values) <= _LONG:
        table = suppress(values, threshold)
        return [*table.cells.tolist(), table.total]
    found = np.where(mask(values, threshold), SMALL, SHOWN)
    # two of each small value and the cheapest other decide for all: more small ones protect more
    picked = [int(at) for one in range(1, threshold) for at in np.flatnonzero(values == one)[:2]]
    if not picked:
        return [*found.tolist(), SHOWN]
    others = np.flatnonzero(values >= threshold)
    others = others if len(others) else np.flatnonzero(values == 0)
    if len(others):
        picked.append(int(others[np.argmin(values[others])]))
    table = suppress(values[picked], threshold)
    found[picked] = np.maximum(found[picked], table.cells)
    return [*found.tolist(), table.total]


def isolates(
    new: npt.ArrayLike,
    previous: npt.ArrayLike,
    both: npt.ArrayLike,
    threshold: int = THRESHOLD,
) -> Bools:
    """Tell whether a question and an earlier one differ by a small number of events (METHODS 11).

    The symmetric difference holds `new + previous − 2 both` events; 1 to 4 of them would be isolated
    by taking the answers from each other. Questions may differ in area, span, kinds or hours: only
    the events count.

    Parameters
    ----------
    new : int or (k,)
        Events that fit the new question (per kind).
    previous, both : (m,) or (m, k)
        Events that fit each earlier question of the account, and both it and the new one.

    Returns
    -------
    bool, the shape of `previous`: where True, the new answer must be "<5" as well

    Raises
    ------
    ValueError
        On counts that are negative, not whole, or a `both` above either.
    """
    now, before, common = (_counts(v) for v in (new, previous, both))
    if np.any(common > now) or np.any(common > before):
        raise ValueError("what fits both questions cannot be more than what fits one")
    return mask(now + before - 2 * common, threshold)
