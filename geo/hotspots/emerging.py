"""How hot and cold spots come and go: eight categories of each (METHODS 8).

May import numpy, scipy and `geo.hotspots`. Pure. Steps are equal and in order, the last is now.

A step of a cell is hot or cold when Gi* says so with a false discovery rate over the cells of that
step. What a cell *is* now decides first: hot in the last step, it can only be a hot spot; cold, only
a cold spot; neither, only a historical one. "Most" is at least 90 % of the steps with data; a trend is
Mann–Kendall's on z, two-sided, p ≤ 0.05. For hot spots (cold ones mirrored), the first that fits:

new           hot in the last step only, never before
intensifying  hot in most steps, z rising
diminishing   hot in most steps, z falling
persistent    hot in most steps, no trend
consecutive   hot in the last two steps or more without a gap, never before that
oscillating   hot now, cold in some earlier step
sporadic      hot now, on and off before, never cold
historical    not hot now, but hot in most steps

A cell that fits none is "none". However hot it was before, a cell that is cold now is a cold spot: a
new one when it is so for the first time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from geo.hotspots.gi import COLD, HOT, Neighbours, gi_star, hot_and_cold

Floats = npt.NDArray[np.float64]

NONE = 0
CATEGORIES = (
    "none",
    "new",
    "consecutive",
    "intensifying",
    "persistent",
    "diminishing",
    "sporadic",
    "oscillating",
    "historical",
)
"""Names by number; the sign of a category tells hot (+) from cold (−)."""

NEW, CONSECUTIVE, INTENSIFYING, PERSISTENT = 1, 2, 3, 4
DIMINISHING, SPORADIC, OSCILLATING, HISTORICAL = 5, 6, 7, 8
MOST = 0.9
TREND = 0.05


@dataclass(frozen=True)
class Emerging:
    """What became of every cell.

    Attributes
    ----------
    category : (n,) int8
        Number in `CATEGORIES`, negative for cold spots.
    z : (T, n) float64
    state : (T, n) int8
        1 hot, -1 cold, 0 neither.
    trend_z, trend_p : (n,) float64
        Mann–Kendall on z; nan with fewer than 3 steps of data.
    """

    category: npt.NDArray[np.int8]
    z: Floats
    state: npt.NDArray[np.int8]
    trend_z: Floats
    trend_p: Floats

    def names(self) -> list[str]:
        """Of every cell "hot: new", "cold: sporadic", … or "none"."""
        return [
            "none" if not c else f"{'hot' if c > 0 else 'cold'}: {CATEGORIES[abs(c)]}"
            for c in self.category.tolist()
        ]


def mann_kendall(values: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Mann–Kendall trend of every column: normal z and two-sided p.

    `S = Σ_{s<t} sign(x_t − x_s)`, `Var S = [n(n−1)(2n+5) − Σ u(u−1)(2u+5)] / 18` over the groups of u
    equal values, `z = (S ∓ 1) / √Var` (Kendall 1975).

    Parameters
    ----------
    values : (T, n) float64
        nan is left out.

    Returns
    -------
    z, p : (n,) float64, nan with fewer than 3 values; 0 and 1 when all are equal
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 2:
        raise ValueError(f"values must have shape (T, n), got {x.shape}")
    known = ~np.isnan(x)
    number = known.sum(axis=0).astype(np.float64)
    score = np.zeros(x.shape[1])
    ties = np.zeros(x.shape[1])
    for t in range(x.shape[0]):
        both = known & known[t]
        sign = np.where(both, np.sign(x[t] - x), 0.0)
        score += sign[:t].sum(axis=0)
        u = (both & (sign == 0)).sum(axis=0).astype(np.float64)
        # every member of a group of u adds the group's term / u
        ties += np.where(known[t], (u - 1) * (2 * u + 5), 0.0)
    variance = (number * (number - 1) * (2 * number + 5) - ties) / 18
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(variance > 0, (score - np.sign(score)) / np.sqrt(variance), 0.0)
    z = np.where(number < 3, np.nan, z)
    return z, np.asarray(2 * special.ndtr(-np.abs(z)), dtype=np.float64)


def classify(z: npt.ArrayLike, state: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Category of every cell, see the module.

    Parameters
    ----------
    z : (T, n) float64
        nan = no data in that step.
    state : (T, n) ints
        1 hot, -1 cold, 0 neither.

    Returns
    -------
    (n,) int8
    """
    value = np.asarray(z, dtype=np.float64)
    spot = np.asarray(state)
    if value.ndim != 2 or value.shape != spot.shape or not len(value):
        raise ValueError(f"z {value.shape} and state {spot.shape} must be one (T, n), T ≥ 1")
    trend, p = mann_kendall(value)
    known = (~np.isnan(value)).sum(axis=0)
    found = np.zeros(value.shape[1], np.int8)
    for sign in (HOT, COLD):
        on = spot == sign
        now = on[-1]
        number = on.sum(axis=0)
        most = (number >= MOST * known) & (known > 0)
        # length of the unbroken run that ends now
        run = np.argmin(np.vstack([on[::-1], np.zeros((1, on.shape[1]), bool)]), axis=0)
        other = (spot == -sign).any(axis=0)
        rising = (p <= TREND) & (sign * trend > 0)
        falling = (p <= TREND) & (sign * trend < 0)
        first = np.select(
            [
                now & (number == 1),
                now & most & rising,
                now & most & falling,
                now & most,
                now & (run == number),
                now & other,
                now,
                ~now & most & (spot[-1] == 0),
            ],
            [
                NEW,
                INTENSIFYING,
                DIMINISHING,
                PERSISTENT,
                CONSECUTIVE,
                OSCILLATING,
                SPORADIC,
                HISTORICAL,
            ],
            NONE,
        )
        found = np.where(first > 0, sign * first, found).astype(np.int8)
    return found


def emerging(values: npt.ArrayLike, neighbours: Neighbours, q: float = 0.05) -> Emerging:
    """Gi* of every step with a false discovery rate, and the category of every cell.

    Parameters
    ----------
    values : (T, n) float64
        EB-adjusted residuals (`gi.residuals`) of every step; nan = no data.
    neighbours : Neighbours
    q : float
        False discovery rate over the cells of one step.
    """
    panel = np.asarray(values, dtype=np.float64)
    if panel.ndim != 2 or not len(panel):
        raise ValueError(f"values must have shape (T, n) with T ≥ 1, got {panel.shape}")
    z = gi_star(panel, neighbours)
    state = hot_and_cold(z, q)
    trend_z, trend_p = mann_kendall(z)
    return Emerging(classify(z, state), z, state, trend_z, trend_p)
