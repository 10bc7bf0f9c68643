"""Where the next month's events will be, and whether that is worth showing (METHODS 12).

May import numpy, scipy, `geo.risk`. Pure: no clock, no randomness.

The model is deliberately simple: the level of every cell as the filter of METHODS 3 knows it at the
end of the month before, times what the whole map has per month, times the season. It is judged on
held-out months, each forecast from the months before it only, against **the same cells as last year**
at equal area. It may be shown only where it wins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from geo import risk

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

YEAR = 12
#: level for calling the model better
LEVEL = 0.05


@dataclass(frozen=True)
class Score:
    """How well chosen cells caught the events of the held-out months.

    Attributes
    ----------
    hits, events : int
        Events in the chosen cells, n, and all, N.
    hit_rate, low, high : float
        n / N with its exact 95 % interval (Clopper and Pearson 1934); nan without events.
    area_share : float
        a / A, chosen area over all, mean of the months.
    pai : float
        Predictive accuracy index (n/N) / (a/A) (Chainey 2008).
    pei : float
        Predictive efficiency index n / n*, n* the most that cells of this area could have caught
        (Hunt 2016).
    by_month : (M,) int64
        Hits of each month.
    """

    hits: int
    events: int
    hit_rate: float
    low: float
    high: float
    area_share: float
    pai: float
    pei: float
    by_month: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Forecast:
    """The next month, and what the method was worth on held-out ones.

    Attributes
    ----------
    expected : (n,) float64
        Events expected next month; nan = no data.
    chosen : (n,) bool
        Cells with the highest density of them, up to the area share.
    model, last_year : Score
        On the same held-out months at equal area; `last_year` chooses the cells with the most events
        per area in the twelve months before each.
    beats_last_year : bool
        More hits, and not by chance: p ≤ .05. **Show the layer only when True.**
    p : float
        One-sided exact sign-flip test on the months' differences of hits.
    months : int
        Held out.
    """

    expected: Floats
    chosen: Bools
    model: Score
    last_year: Score
    beats_last_year: bool
    p: float
    months: int


def choose(score: npt.ArrayLike, area: npt.ArrayLike, share: float) -> Bools:
    """Cells with the highest score per area until `share` of the area is full.

    Parameters
    ----------
    score : (n,) float64
        nan is never chosen.
    area : (n,) float64
        Above 0, any unit.
    share : float
        In (0, 1). Cells are taken whole, by falling density; one that does not fit any more is
        passed over, so that two choices fill the same area up to the smallest cell.

    Returns
    -------
    (n,) bool. Equal densities: by position, so that the answer is always the same.
    """
    value, size = np.asarray(score, np.float64), np.asarray(area, np.float64)
    if value.shape != size.shape or value.ndim != 1:
        raise ValueError(f"score {value.shape} and area {size.shape} must be one (n,)")
    if not 0 < share < 1:
        raise ValueError(f"the share of the area must be in (0, 1), got {share}")
    if not np.all(np.isfinite(size) & (size > 0)):
        raise ValueError("areas are finite and above 0")
    picked = np.zeros(len(value), np.bool_)
    order = np.argsort(-(value / size), kind="stable")
    order = order[~np.isnan(value[order])]
    room = share * size.sum() * (1 + 1e-9)
    held = np.cumsum(size[order])
    fits = int(np.searchsorted(held, room, side="right"))
    picked[order[:fits]] = True
    room -= held[fits - 1] if fits else 0.0
    # the rest of the room goes to the next that are small enough
    rest = order[fits:]
    smallest = np.minimum.accumulate(size[rest][::-1])[::-1]
    for place, cell in enumerate(rest.tolist()):
        if smallest[place] > room:
            break
        if size[cell] <= room:
            picked[cell] = True
            room -= size[cell]
    return picked


def judge(chosen: npt.ArrayLike, events: npt.ArrayLike, area: npt.ArrayLike) -> Score:
    """Hit rate, PAI and PEI of chosen cells.

    Parameters
    ----------
    chosen : (M, n) bool
    events : (M, n) counts
    area : (n,) float64
    """
    picked, counts = np.asarray(chosen, np.bool_), np.asarray(events, np.int64)
    size = np.asarray(area, np.float64)
    if picked.shape != counts.shape or picked.ndim != 2 or size.shape != picked.shape[1:]:
        raise ValueError(f"{picked.shape} choices, {counts.shape} counts, {size.shape} areas")
    by_month = np.where(picked, counts, 0).sum(axis=1)
    hits, everything = int(by_month.sum()), int(counts.sum())
    covered = (picked * size).sum(axis=1)
    share = float(covered.mean() / size.sum())
    most = 0
    for month in range(len(counts)):
        limit = covered[month] / size.sum()
        if 0 < limit < 1:
            most += int(counts[month, choose(counts[month], size, limit)].sum())
        elif limit >= 1:
            most += int(counts[month].sum())
    low, high = _interval(hits, everything)
    rate = hits / everything if everything else np.nan
    return Score(
        hits, everything, rate, low, high, share,
        rate / share if share else np.nan, hits / most if most else np.nan, by_month,
    )  # fmt: skip


def _interval(hits: int, events: int) -> tuple[float, float]:
    if not events:
        return np.nan, np.nan
    low = float(special.betaincinv(hits, events - hits + 1, 0.025)) if hits else 0.0
    high = float(special.betaincinv(hits + 1, events - hits, 0.975)) if hits < events else 1.0
    return low, high


def sign_flip(differences: npt.ArrayLike) -> float:
    """One-sided exact p that differences of whole numbers around 0 add up to as much as these.

    All 2^M ways to flip their signs, counted by convolution, not drawn.
    """
    d = np.abs(np.asarray(differences, np.int64))
    seen = int(np.asarray(differences, np.int64).sum())
    reach = int(d.sum())
    # chance of each sum from -reach to reach
    chance = np.zeros(2 * reach + 1)
    chance[reach] = 1.0
    for one in d.tolist():
        if one:
            chance = (np.roll(chance, one) + np.roll(chance, -one)) / 2
    return float(min(1.0, chance[reach + seen :].sum()))


def season(totals: npt.ArrayLike) -> Floats:
    """Factor of the month after each prefix of `totals`, from whole years before it.

    The mean, over the years before, of (that calendar month / its year's mean month), drawn towards
    1 as if one more year without a season had been seen. 1 with less than a year.

    Parameters
    ----------
    totals : (T,) float64
        Events of the whole map per month.

    Returns
    -------
    (T + 1,) float64: element t is for month t, from months before t only
    """
    x = np.asarray(totals, np.float64)
    factor = np.ones(len(x) + 1)
    for t in range(YEAR, len(x) + 1):
        seen = [1.0]
        for end in range(t, YEAR - 1, -YEAR):
            mean = x[end - YEAR : end].mean()
            if mean > 0:
                seen.append(float(x[end - YEAR]) / mean)
        factor[t] = float(np.mean(seen))
    return factor


def forecast(
    observed: npt.ArrayLike,
    share: npt.ArrayLike,
    area: npt.ArrayLike | None = None,
    *,
    area_share: float = 0.10,
    held_out: int = 6,
    parameters: risk.DebParameters | None = None,
) -> Forecast:
    """Forecast the month after the last and judge the method on the last `held_out` months.

    Expected of cell i in month t: `C_i · r · s · θ_i`, θ_i the posterior mean of METHODS 3 at the end
    of month t − 1, r the mean rate of the twelve months before, s the `season`.

    Parameters
    ----------
    observed : (T, n) counts
        Months in order, without gaps; T at least 12 + held_out.
    share : (n,) float64
        Exposure C; nan or 0 = no data: such a cell is in no forecast (its events count against it).
    area : (n,) float64, optional
        Any unit; equal without.
    area_share : float
        Part of the area that may be chosen, in (0, 1).
    held_out : int
        Months, at least 1; fewer than 5 can never show that the model is better.

    Returns
    -------
    Forecast

    Raises
    ------
    ValueError
        On too few months or shapes that do not fit.
    """
    counts = np.asarray(observed)
    if counts.ndim != 2:
        raise ValueError(f"observed must have shape (T, n), got {counts.shape}")
    periods, n = counts.shape
    if held_out < 1 or periods < YEAR + held_out:
        raise ValueError(
            f"{periods} months: a forecast needs a year and the months held out, {YEAR + held_out}"
        )
    size = np.ones(n) if area is None else np.asarray(area, np.float64)
    filtered = risk.filter_panel(counts, share, parameters)
    alpha = risk.unit_alpha(filtered.alpha, filtered.flags, parameters)
    theta = risk.relative_risk(alpha, filtered.s, filtered.x)
    factor = season(counts.sum(axis=1))
    exposure = np.asarray(share, np.float64)
    exposure = np.where(exposure > 0, exposure, np.nan)

    def expected(month: int) -> Floats:
        """Of a month from those before it."""
        rate = float(filtered.rate[month - YEAR : month].mean())
        return np.asarray(exposure * rate * factor[month] * theta[month - 1], dtype=np.float64)

    months = range(periods - held_out, periods)
    ours = np.array([choose(expected(m), size, area_share) for m in months])
    theirs = np.array([choose(counts[m - YEAR : m].sum(axis=0), size, area_share) for m in months])
    held = counts[periods - held_out :].astype(np.int64)
    model, last_year = judge(ours, held, size), judge(theirs, held, size)
    p = sign_flip(model.by_month - last_year.by_month)
    following = expected(periods)
    return Forecast(
        following, choose(following, size, area_share), model, last_year,
        bool(model.hits > last_year.hits and p <= LEVEL), p, held_out,
    )  # fmt: skip
