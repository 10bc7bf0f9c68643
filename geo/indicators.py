"""Indicators: from numerators and denominators to values, scores, classes, ranks, escalation.

May import numpy and `geo.ranks`. Pure. Panels are float64 `(T, n)`, periods in order, units in any
fixed order; nan is *no data* and never 0. "Best" and "worst" are the caller's words: `fall` means
small values are good, `rise` large ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Direction = Literal["fall", "rise"]
Ties = Literal["dense", "min", "average"]


class Circle(ValueError):
    """Indicators that are made of each other; `path` begins and ends with the same one."""

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(f"goes in a circle: {' → '.join(path)}")
        self.path = list(path)


def in_order(links: Mapping[str, Sequence[str]]) -> list[str]:
    """Names so that each comes after everything it is made of.

    Parameters
    ----------
    links : what each name is made of; names without an entry are made of nothing

    Raises
    ------
    Circle
        A name is made of itself, by whatever way.
    """
    done: dict[str, None] = {}
    for root in links:
        path: list[str] = []
        # a stack of its own: a chain may be as long as it likes
        stack: list[tuple[str, int]] = [(root, 0)]
        while stack:
            name, step = stack.pop()
            if name in done:
                continue
            if step == 0:
                if name in path:
                    raise Circle([*path[path.index(name) :], name])
                path.append(name)
            below = links.get(name, ())
            if step < len(below):
                stack.append((name, step + 1))
                stack.append((below[step], 0))
            else:
                done[name] = None
                path.pop()
    return list(done)


# values -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Values:
    """Values of an indicator.

    Attributes
    ----------
    value : (T, n) float64
        nan = no data.
    divided_by_zero : (T, n) bool
        Both are known and the denominator is 0: there is no value, and this is why.
    """

    value: Floats
    divided_by_zero: Bools


def ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike, factor: float = 1.0) -> Values:
    """`factor` × numerator / denominator; never inf.

    Parameters
    ----------
    numerator, denominator : (T, n) float64
    factor : float
        10000 for "per 10,000"; 100 for a share in per cent.
    """
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    zero = (bottom == 0) & ~np.isnan(top)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(bottom == 0, np.nan, factor * top / bottom)
    return Values(value, zero)


def mean_of_years(panel: npt.ArrayLike, step: int, years: int = 3) -> Floats:
    """Mean of each period and the same one of the years before; nan where one of them is missing.

    Parameters
    ----------
    panel : (T, n) float64
    step : int
        Periods in a year: 1, 4, 12.
    years : int
        Years with the present one.
    """
    values = np.asarray(panel, dtype=np.float64)
    if step < 1 or years < 1:
        raise ValueError(f"step and years are at least 1, got {step} and {years}")
    total = values.copy()
    for back in range(1, years):
        shift = back * step
        earlier = np.full_like(values, np.nan)
        if shift < len(values):
            earlier[shift:] = values[: len(values) - shift]
        total += earlier
    return total / years


def printed(values: npt.ArrayLike, decimals: int, *, cut: bool = False) -> Floats:
    """Values as they are printed: rounded half away from 0, or cut off.

    What lies within one part in 10¹² of a printed digit counts as that digit: 0.285 has none of
    its own in binary, and 100 × 0.57 is below 57.
    """
    given = np.asarray(values, dtype=np.float64)
    scale = 10.0**decimals
    size = np.abs(given) * scale
    nudge = 1e-12 * np.maximum(size, 1.0)
    digits = np.floor(size + nudge) if cut else np.floor(size + 0.5 + nudge)
    found: Floats = np.copysign(digits, given) / scale + 0.0
    return found


# scores and classes -----------------------------------------------------------------------------


def goalpost_score(values: npt.ArrayLike, worst: float, best: float) -> Floats:
    """0 at `worst`, 100 at `best`, straight between, cut off outside; nan stays.

    Raises
    ------
    ValueError
        Both are the same: the score would divide by 0.
    """
    if worst == best:
        raise ValueError(f"worst and best are both {best:g}: the score would divide by 0")
    given = np.asarray(values, dtype=np.float64)
    found: Floats = np.clip(100.0 * (given - worst) / (best - worst), 0.0, 100.0)
    return found


def band(values: npt.ArrayLike, ends: Sequence[float]) -> Ints:
    """Index of the band of each value: the first whose end is not below it; −1 = no data.

    Parameters
    ----------
    values : any shape, float64
    ends : ascending upper ends, closed; the band after the last is open
    """
    given = np.asarray(values, dtype=np.float64)
    found = np.searchsorted(np.asarray(ends, dtype=np.float64), given, side="left")
    return np.where(np.isnan(given), -1, found).astype(np.int64)


def class_score(classes: npt.ArrayLike, number: int) -> Floats:
    """Score of a class: 100 for the best (0), 0 for the worst (`number` − 1); −1 = no data: nan."""
    given = np.asarray(classes)
    if number < 2:
        raise ValueError(f"there are at least two classes, got {number}")
    return np.where(given < 0, np.nan, 100.0 * (1.0 - given / (number - 1)))


def score_class(scores: npt.ArrayLike, least: Sequence[float]) -> Ints:
    """Class of each score: the first whose least score it reaches; −1 = no data.

    Parameters
    ----------
    scores : any shape, float64, 0–100
    least : falling least scores of the classes, best first; the last is 0
    """
    given = np.asarray(scores, dtype=np.float64)
    rising = np.asarray(least, dtype=np.float64)[::-1]
    # a mean of scores may miss a round number by the last bit
    place = np.searchsorted(rising, given + 1e-9, side="right") - 1
    found = len(rising) - 1 - np.maximum(place, 0)
    return np.where(np.isnan(given), -1, found).astype(np.int64)


def combine(
    scores: Sequence[npt.ArrayLike], weights: Sequence[float], least_weight: float = 0.5
) -> Floats:
    """Weighted mean of the parts that are known.

    Parameters
    ----------
    scores : P arrays of one shape
    weights : P numbers, not negative
    least_weight : float
        Where the known parts weigh less than this share of all, there is no score.

    Raises
    ------
    ValueError
        All weights are 0: the mean would divide by 0.
    """
    share = np.asarray(weights, dtype=np.float64)
    if len(share) != len(scores) or (share < 0).any():
        raise ValueError("there is one weight per part, and none is negative")
    total = float(share.sum())
    if total <= 0:
        raise ValueError("all weights are 0: the mean would divide by 0")
    stack = np.stack([np.asarray(one, dtype=np.float64) for one in scores])
    share = share.reshape(-1, *([1] * (stack.ndim - 1)))
    known = np.where(np.isnan(stack), 0.0, share)
    weight = known.sum(axis=0)
    added = (np.where(np.isnan(stack), 0.0, stack) * share).sum(axis=0)
    enough = (weight >= least_weight * total - 1e-12) & (weight > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(enough, added / weight, np.nan)


# ranks ------------------------------------------------------------------------------------------


def league(values: npt.ArrayLike, direction: Direction, ties: Ties = "min") -> tuple[Floats, Bools]:
    """Rank of every unit, 1 = best, and whether it shares it.

    Parameters
    ----------
    values : (n,) float64
        nan = no data: rank 0.
    direction : fall or rise
        `fall`: the smallest value is rank 1.
    ties : min (1 2 2 4), dense (1 2 2 3) or average (1 2.5 2.5 4)
    """
    given = np.asarray(values, dtype=np.float64)
    rank = np.zeros(given.shape)
    tied = np.zeros(given.shape, dtype=bool)
    known = np.flatnonzero(~np.isnan(given))
    if known.size == 0:
        return rank, tied
    key = given[known] if direction == "fall" else -given[known]
    _, place, count = np.unique(key, return_inverse=True, return_counts=True)
    before = np.cumsum(count) - count
    if ties == "dense":
        first = np.arange(len(count)) + 1.0
    elif ties == "min":
        first = before + 1.0
    else:
        first = before + (count + 1) / 2
    rank[known] = first[place]
    tied[known] = count[place] > 1
    return rank, tied


def rank_bounds(
    drawn: npt.ArrayLike, rank: npt.ArrayLike, direction: Direction, interval: float
) -> tuple[Ints, Ints]:
    """Central interval of each unit's rank over draws, widened to hold the rank itself.

    Parameters
    ----------
    drawn : (D, n) float64
        Values of every unit in each draw; nan = no data in all draws.
    rank : (n,)
        Rank of the values themselves, 0 = no data.
    direction : fall or rise
    interval : float
        In (0, 1); `floor((1 − interval) / 2 · D)` draws are cut off at each end.
    """
    values = np.asarray(drawn, dtype=np.float64)
    own = np.asarray(rank, dtype=np.float64)
    low = np.zeros(own.shape, dtype=np.int64)
    high = np.zeros(own.shape, dtype=np.int64)
    known = np.flatnonzero(own > 0)
    if known.size == 0:
        return low, high
    if np.isnan(values[:, known]).any():
        raise ValueError("a unit with a rank has no value in a draw")
    key = values[:, known] if direction == "fall" else -values[:, known]
    ordered = np.sort(key, axis=1)
    # ranks of tied draws: the smaller one for the best end, the larger one for the worst
    best = np.empty(key.shape, dtype=np.int64)
    worst = np.empty(key.shape, dtype=np.int64)
    for row in range(len(key)):
        best[row] = 1 + np.searchsorted(ordered[row], key[row], side="left")
        worst[row] = np.searchsorted(ordered[row], key[row], side="right")
    cut = int((1 - interval) / 2 * len(key) + 1e-9)
    low[known] = np.minimum(np.sort(best, axis=0)[cut], np.floor(own[known]).astype(np.int64))
    high[known] = np.maximum(
        np.sort(worst, axis=0)[len(key) - 1 - cut], np.ceil(own[known]).astype(np.int64)
    )
    return low, high


def alike(rank: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> Ints:
    """Find groups of units whose ranks cannot be told apart, from 1; 0 = no data.

    Down the table, a group holds every unit whose interval overlaps that of the group's first.
    """
    own = np.asarray(rank, dtype=np.float64)
    bottom, top = np.asarray(low), np.asarray(high)
    group = np.zeros(own.shape, dtype=np.int64)
    number, reach = 0, -1
    for at in np.lexsort((np.arange(own.size), own)):
        if own[at] <= 0:
            continue
        if bottom[at] > reach:
            number += 1
            reach = int(top[at])
        group[at] = number
    return group


# what is done about it --------------------------------------------------------------------------


def running(condition: npt.ArrayLike, periods: int) -> Bools:
    """Where a condition (T, n) holds in the period and the `periods` − 1 before it."""
    return of_last(condition, periods, periods)


def of_last(condition: npt.ArrayLike, of: int, within: int) -> Bools:
    """Where a condition (T, n) holds in `of` of the last `within` periods, this one included."""
    if not 1 <= of <= within:
        raise ValueError(f"{of} of {within} periods can never be reached")
    held = np.asarray(condition, dtype=bool)
    total = np.cumsum(held.astype(np.int64), axis=0)
    before = np.zeros_like(total)
    before[within:] = total[: len(total) - within] if within < len(total) else 0
    return (total - before) >= of


def last_places(values: npt.ArrayLike, direction: Direction, places: int) -> Bools:
    """Which units are among the last `places` of each period's table; shares of a place count.

    Who shares the first place is never among the last: where all are equal, nobody is.

    Parameters
    ----------
    values : (T, n) float64
        nan = no data: never among the last.
    """
    given = np.asarray(values, dtype=np.float64)
    turned: Direction = "rise" if direction == "fall" else "fall"
    found = np.zeros(given.shape, dtype=bool)
    for t in range(len(given)):
        rank, _ = league(given[t], turned)
        best, _ = league(given[t], direction)
        found[t] = (rank > 0) & (rank <= places) & (best > 1)
    return found


def escalation(reached: npt.ArrayLike) -> Ints:
    """Step of each unit and period: 0 none, 1 the first …; none is skipped.

    Parameters
    ----------
    reached : (S, T, n) bool
        Whether the condition of each step holds. In every period a unit rises by at most one step,
        to the next one whose condition, or that of a later one, holds; it stays where its own step's
        condition or an earlier one holds, and falls back to none when no condition does.
    """
    holds = np.asarray(reached, dtype=bool)
    steps, periods, units = holds.shape
    found = np.zeros((periods, units), dtype=np.int64)
    level = np.zeros(units, dtype=np.int64)
    highest = np.zeros((periods, units), dtype=np.int64)
    for step in range(steps):
        highest = np.where(holds[step], step + 1, highest)
    for t in range(periods):
        level = np.where(highest[t] == 0, 0, np.where(highest[t] > level, level + 1, level))
        found[t] = level
    return found


WAITING, WARNED, OVERDUE, DONE = 0, 1, 2, 3


def deadline_state(due: npt.ArrayLike, done: npt.ArrayLike, day: float, warn_days: float) -> Ints:
    """State of things that run out, on one day; days are numbers, nan = never.

    Parameters
    ----------
    due : (n,) float64
        Day it runs out.
    done : (n,) float64
        Day it was settled; nan: not yet.
    day : float
        The present.
    warn_days : float
        The warning begins so many days before.

    Returns
    -------
    (n,) int64
        WAITING 0 before the warning, WARNED 1 from `due − warn_days` to `due` (both included),
        OVERDUE 2 after `due`, DONE 3 from the day it was settled.
    """
    end = np.asarray(due, dtype=np.float64)
    settled = np.asarray(done, dtype=np.float64)
    state = np.where(day > end, OVERDUE, np.where(day >= end - warn_days, WARNED, WAITING))
    return np.where(settled <= day, DONE, state).astype(np.int64)
