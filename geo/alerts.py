"""Alerts: which units are to be looked into, when an alert opens and when it closes (METHODS 7).

May import numpy. Pure: no clock, no randomness, inputs are never changed. A cell is one unit × kind of
one level; all cells of a level and period are one family of the false discovery rate. Arrays of one
call have one shape, usually `(K, n)`; `nan` in a probability means *no data*: it never fires and
nothing of it stays open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo import risk
from geo.colours import COLOURS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

#: Bits of what fires: the remembered posterior, the single period, lasting orange.
STEADY, SINGLE, LASTING = 1, 2, 4


@dataclass(frozen=True)
class AlertRule:
    """Constants of METHODS 7; a scene may change them, the defaults are the tested ones.

    Attributes
    ----------
    fdr : float
        Greatest mean of 1 − P over the cells that fire, in (0, 1).
    theta_min : float
        Least posterior mean of the relative risk.
    min_count : float
        Least S (remembered posterior) or O (single period).
    close_below : float
        An alert closes when P of all that fired it falls below.
    clear_below : float
        A single period with P at most this is clearly below expectation: closes, and never fires.
    lasting_colour, lasting_of, lasting_within : int
        A colour at least this in so many of so many consecutive periods, each by itself, fires, too;
        `lasting_of` 0: never.
    """

    fdr: float = 0.05
    theta_min: float = 1.5
    min_count: float = 5.0
    close_below: float = 0.80
    clear_below: float = 0.20
    lasting_colour: int = COLOURS.index("orange")
    lasting_of: int = 2
    lasting_within: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.fdr < 1:
            raise ValueError(f"fdr must be in (0, 1), got {self.fdr}")
        if not (math.isfinite(self.theta_min) and self.theta_min > 0):
            raise ValueError(f"theta_min must be above 0, got {self.theta_min}")
        if not (math.isfinite(self.min_count) and self.min_count >= 0):
            raise ValueError(f"min_count must not be negative, got {self.min_count}")
        if not 0 <= self.clear_below < self.close_below <= 1:
            raise ValueError(
                "clear_below lies below close_below, both in [0, 1]; got "
                f"{self.clear_below}, {self.close_below}"
            )
        if not 0 <= self.lasting_of <= self.lasting_within:
            raise ValueError(f"{self.lasting_of} of {self.lasting_within} periods cannot be")


@dataclass(frozen=True)
class Evidence:
    """What one period says about every cell; arrays of one shape.

    Attributes
    ----------
    theta, p, s : float64
        Posterior mean, P(θ > 1) and remembered events of the drifting filter (METHODS 3).
    theta_single, p_single, o : float64
        The same of this period alone: S = O, X = E.
    lasting : bool
        See `lasting`.
    """

    theta: Floats
    p: Floats
    s: Floats
    theta_single: Floats
    p_single: Floats
    o: Floats
    lasting: Bools


@dataclass(frozen=True)
class Step:
    """What becomes of every cell.

    Attributes
    ----------
    holds : uint8
        Bits of what keeps an alert open; 0: there is none.
    opened, closed : bool
    """

    holds: Bytes
    opened: Bools
    closed: Bools


def discoveries(p: npt.ArrayLike, candidate: npt.ArrayLike, fdr: float = 0.05) -> Bools:
    """Choose the largest set of candidates whose mean of 1 − P is at most `fdr` (METHODS 7).

    The mean of 1 − P over a set is its posterior expected false discovery rate (Newton 2004; Müller
    2004). Equal P: the earlier cell first, so that the answer is one.

    Parameters
    ----------
    p : float64, any shape
        P(θ > 1); nan never counts.
    candidate : bool, same shape
    fdr : float in (0, 1)

    Returns
    -------
    bool, same shape

    Raises
    ------
    ValueError
        On shapes that differ.

    Examples
    --------
    >>> discoveries([.99, .93, .9, .999], [True, True, True, False]).tolist()
    [True, True, False, False]
    """
    chance = np.asarray(p, dtype=np.float64)
    asked = np.asarray(candidate, dtype=np.bool_)
    if chance.shape != asked.shape:
        raise ValueError(f"p {chance.shape} and candidate {asked.shape} differ")
    out = np.zeros(chance.shape, dtype=np.bool_)
    at = np.flatnonzero(asked & ~np.isnan(chance))
    if not len(at):
        return out
    doubt = 1 - chance.ravel()[at]
    order = np.argsort(doubt, kind="stable")
    mean = np.cumsum(doubt[order]) / np.arange(1, len(order) + 1)
    # ascending values have ascending means: the last prefix that fits is the largest set that fits
    count = int(np.searchsorted(mean, fdr + 1e-12, side="right"))
    out.ravel()[at[order[:count]]] = True
    return out


def lasting(colours: npt.ArrayLike, rule: AlertRule | None = None) -> Bools:
    """Tell cells whose colour lasted: `lasting_of` of the last `lasting_within` periods.

    Parameters
    ----------
    colours : (T, ...) uint8
        Colours of each period by itself (S = O, X = E), in order, the present one last; fewer periods
        are all there are. The colours of the map carry their past with them: two orange ones in a row
        say hardly more than one, and alerts of them were right in half of the cases only
        (`benchmarks/alerts.py`).

    Returns
    -------
    bool (...), True where the present period has that colour, too
    """
    r = rule or AlertRule()
    seen = np.asarray(colours)
    if r.lasting_of == 0 or not len(seen):
        return np.zeros(seen.shape[1:], dtype=np.bool_)
    high = seen[-r.lasting_within :] >= r.lasting_colour
    return np.asarray(high[-1] & (high.sum(axis=0) >= r.lasting_of), dtype=np.bool_)


def fires(
    evidence: Evidence, rule: AlertRule | None = None, holds: npt.ArrayLike | None = None
) -> Bytes:
    """Bits of what fires in each cell: `STEADY`, `SINGLE`, `LASTING` (METHODS 7).

    Both posteriors are families of their own; a cell that is clearly below expectation in this period
    does not fire. Where no alert is open a cell needs an event in this period, and has to belong to the
    chosen set of those cells alone, too: else the alerts that are open for long, of which nobody doubts any more, would pay for new
    ones that are often wrong.

    Parameters
    ----------
    holds : uint8, the shape of the evidence
        What holds the alerts that are open; none: nothing is open.

    Returns
    -------
    uint8, the shape of the evidence
    """
    r = rule or AlertRule()
    one = evidence
    free = np.ones(one.p.shape, np.bool_) if holds is None else np.asarray(holds) == 0
    there = one.o >= 1  # nothing opens where nothing happened
    with np.errstate(invalid="ignore"):
        families = (
            (STEADY, one.p, (one.theta >= r.theta_min) & (one.s >= r.min_count)),
            (SINGLE, one.p_single, (one.theta_single >= r.theta_min) & (one.o >= r.min_count)),
            (LASTING, one.p, one.lasting & there & (one.s >= r.min_count)),
        )
        clear = one.p_single <= r.clear_below
    bits = np.zeros(one.p.shape, np.uint8)
    for bit, p, candidate in families:
        # lasting is a rule of its own while it lasts; only what opens by it is held to the rate
        chosen = candidate & ~np.isnan(p) if bit == LASTING else discoveries(p, candidate, r.fdr)
        opening = discoveries(p, candidate & free & there, r.fdr)
        bits |= np.where(chosen & (opening | ~free), bit, 0).astype(np.uint8)
    return np.where(clear, 0, bits).astype(np.uint8)


def transition(
    holds: npt.ArrayLike,
    fired: npt.ArrayLike,
    evidence: Evidence,
    rule: AlertRule | None = None,
    *,
    same_period: bool = False,
) -> Step:
    """Open, keep and close alerts (METHODS 7).

    What fires opens, or joins what holds an open alert. What fired before holds while its own
    posterior says P ≥ `close_below`; an alert nothing holds any more closes, and one whose single
    period is clearly below expectation.

    Parameters
    ----------
    holds : uint8
        Bits that held each cell's alert after the period before; 0: there was none.
    fired : uint8
        Of this period, see `fires`.
    same_period : bool
        The period is looked at again: nothing closes before the next one.

    Returns
    -------
    Step
    """
    r = rule or AlertRule()
    before = np.asarray(holds, dtype=np.uint8)
    now = np.asarray(fired, dtype=np.uint8)
    with np.errstate(invalid="ignore"):
        remembered = evidence.p >= r.close_below
        alone = evidence.p_single >= r.close_below
        clear = evidence.p_single <= r.clear_below
    kept = np.where(remembered, STEADY | LASTING, 0) | np.where(alone, SINGLE, 0)
    later = np.where(clear, 0, (before & kept) | now)  # from the next period on it may close
    after = np.where(np.isnan(evidence.p), 0, before | now if same_period else later)
    after = after.astype(np.uint8)
    return Step(after, (before == 0) & (after != 0), (before != 0) & (after == 0))


@dataclass(frozen=True)
class Below:
    """What the alerts of finer levels hold of each cell; arrays of the shape of the cells.

    Attributes
    ----------
    o, e : float64
        Observed and expected of the units below with an open alert of the same kind.
    m : float64
        Their expected counts times their remembered ratio S / X.
    """

    o: Floats
    e: Floats
    m: Floats


def unexplained(
    below: Below,
    holds: npt.ArrayLike,
    rule: AlertRule | None = None,
    *,
    o: Floats,
    e: Floats,
    s: Floats,
    x: Floats,
    alpha: Floats,
) -> Bools:
    """Tell cells that stand out without the units below them that have an alert of their own.

    What is left of a cell, `O − o` against `E − e` and `S − m X / E` against `X (1 − e / E)`, has to
    fire by itself to open: θ at least `theta_min`, P at least 1 − `fdr` and the least count. An alert
    that is open stays while what is left says P ≥ `close_below` on either posterior.

    Parameters
    ----------
    below : see `Below`; where its `e` is 0 nothing is explained
    o, e, s, x, alpha : float64
        Observed, expected, remembered, remembered expected events and strength of the prior.
    holds : uint8
        What holds the alerts that are open; 0: none is.

    Returns
    -------
    bool, the shape of `o`; True where there is nothing below
    """
    r = rule or AlertRule()
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.clip(np.where(e > 0, below.e / e, 0.0), 0.0, 1.0)
        memory = np.where(e > 0, below.m / e, 0.0) * x
        pairs = (
            (np.maximum(o - below.o, 0.0), e * (1 - part)),
            (np.maximum(s - memory, 0.0), x * (1 - part)),
        )
        opening, staying = np.zeros(o.shape, np.bool_), np.zeros(o.shape, np.bool_)
        for left, expected in pairs:
            theta = risk.relative_risk(alpha, left, expected)
            p = risk.exceedance(alpha, left, expected)
            opening |= (theta >= r.theta_min) & (p >= 1 - r.fdr) & (left >= r.min_count)
            staying |= p >= r.close_below
    alone = np.where(np.asarray(holds) != 0, staying, opening)
    return np.asarray(np.where(below.e > 0, alone, True), dtype=np.bool_)


def overflow(
    key: npt.ArrayLike, priority: npt.ArrayLike, used: npt.ArrayLike, cap: int
) -> npt.NDArray[np.int64]:
    """Place of each new alert behind the budget of its key: 0 within, 1 the first that waits.

    Parameters
    ----------
    key : (n,) int
        What has the budget: a grid and week.
    priority : (n,) float64
        Greater first; equal ones in their order.
    used : (n,) int
        Alerts of the same key that came before, the same number for one key.
    cap : int
        Most per key.

    Returns
    -------
    (n,) int64

    Raises
    ------
    ValueError
        On shapes that differ or a negative cap.

    Examples
    --------
    >>> overflow([7, 7, 8, 7], [1.0, 3.0, 0.5, 2.0], [1, 1, 0, 1], 2).tolist()
    [2, 0, 0, 1]
    """
    keys = np.asarray(key)
    worth = np.asarray(priority, dtype=np.float64)
    before = np.asarray(used, dtype=np.int64)
    if not keys.shape == worth.shape == before.shape or keys.ndim != 1:
        raise ValueError(f"key {keys.shape}, priority {worth.shape} and used {before.shape} differ")
    if cap < 0:
        raise ValueError(f"a cap is not negative, got {cap}")
    order = np.lexsort((np.arange(len(keys)), -worth, keys))
    sorted_keys = keys[order]
    start = np.searchsorted(sorted_keys, sorted_keys, side="left")
    place = np.empty(len(keys), dtype=np.int64)
    place[order] = np.arange(len(keys)) - start
    return np.asarray(np.maximum(place + before - cap + 1, 0), dtype=np.int64)
